//! The header of PROXY protocol version 2, with which a proxy names the client of a connection.
//!
//! The protocol's text is that of HAProxy (`doc/proxy-protocol.txt`, section 2.2). The header is read to its
//! last byte and no further: what follows is the client's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length of the rest.
const START_BYTES: usize = 16;
/// The longest rest that is read: addresses, and what the proxy adds (TLVs), which is ignored.
const MAX_REST_BYTES: usize = 2048;
const IPV4_BYTES: usize = 12;
const IPV6_BYTES: usize = 36;

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProxyHeaderError {
    #[error("the connection does not begin with a PROXY header of version 2")]
    Signature,
    #[error("the PROXY header has an unknown version or command")]
    Command,
    #[error("the PROXY header names no client with an IP address over TCP")]
    Family,
    #[error("the PROXY header has an impossible length")]
    Length,
}

/// What the first bytes of a header say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Start {
    /// Whether the proxy speaks for itself, as in a health check.
    is_local: bool,
    family: u8,
    /// The number of bytes that follow.
    rest: usize,
}

impl Start {
    fn parse(bytes: &[u8; START_BYTES]) -> Result<Self, ProxyHeaderError> {
        let (signature, fields) = bytes.split_at(SIGNATURE.len());
        let &[command, family, high, low] = fields else { return Err(ProxyHeaderError::Length) };
        if signature != SIGNATURE {
            return Err(ProxyHeaderError::Signature);
        }
        let is_local = match command {
            0x20 => true,
            0x21 => false,
            _ => return Err(ProxyHeaderError::Command),
        };
        let rest = usize::from(u16::from_be_bytes([high, low]));
        if rest > MAX_REST_BYTES {
            return Err(ProxyHeaderError::Length);
        }
        Ok(Self { is_local, family, rest })
    }

    /// The client's address, from the bytes that follow.
    fn client(self, rest: &[u8]) -> Result<IpAddr, ProxyHeaderError> {
        if self.is_local {
            return Ok(Ipv4Addr::LOCALHOST.into());
        }
        // Stream over IPv4 or IPv6; the source comes first.
        let (needed, source) = match self.family {
            0x11 => {
                (IPV4_BYTES, rest.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()))
            }
            0x21 => {
                (IPV6_BYTES, rest.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into()))
            }
            _ => return Err(ProxyHeaderError::Family),
        };
        let source: Option<IpAddr> = source.filter(|_| rest.len() >= needed);
        source.map(|address| address.to_canonical()).ok_or(ProxyHeaderError::Length)
    }
}

/// Reads a header, and nothing beyond it; returns the client's address, which is that of this machine if the
/// proxy speaks for itself.
///
/// # Errors
///
/// The header is malformed or cut short, or the connection failed.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<IpAddr> {
    let malformed = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut start = [0; START_BYTES];
    stream.read_exact(&mut start).await?;
    let start = Start::parse(&start).map_err(malformed)?;
    let mut rest = vec![0; start.rest];
    stream.read_exact(&mut rest).await?;
    start.client(&rest).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header as a proxy writes it, with this many bytes of what it adds.
    fn header(client: IpAddr, added: usize) -> Vec<u8> {
        let (family, mut rest) = match client {
            IpAddr::V4(address) => (0x11, [&address.octets()[..], &[10, 0, 0, 1]].concat()),
            IpAddr::V6(address) => (0x21, [&address.octets()[..], &[0xfd; 16]].concat()),
        };
        rest.extend([0x9c, 0x40, 0x20, 0xfb]);
        rest.extend(vec![4; added]);
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[0x21, family], &length, &rest].concat()
    }

    /// What is read from bytes, and what is left of them.
    fn parse(mut bytes: &[u8]) -> (io::Result<IpAddr>, &[u8]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(read(&mut bytes));
        (read, bytes)
    }

    proptest! {
        #[test]
        fn a_header_is_read_to_its_end_and_no_further(client: IpAddr, added in 0..2000_usize, more: Vec<u8>) {
            let bytes = [header(client, added), more.clone()].concat();
            let (read, left) = parse(&bytes);
            prop_assert_eq!(read.unwrap(), client.to_canonical());
            prop_assert_eq!(left, more);
        }

        #[test]
        fn no_part_of_a_header_is_one(client: IpAddr, added in 0..100_usize, keep in 0.0..1.0) {
            let whole = header(client, added);
            let kept = (whole.len() as f64 * keep) as usize;
            prop_assert!(parse(&whole[..kept]).0.is_err());
        }

        #[test]
        fn random_bytes_are_no_header(bytes: Vec<u8>) {
            prop_assert!(parse(&bytes).0.is_err());
        }

        #[test]
        fn what_follows_the_signature_is_a_client_or_an_error(fields: [u8; 4], rest: Vec<u8>) {
            let bytes = [&SIGNATURE[..], &fields, &rest].concat();
            let _ = parse(&bytes);
        }
    }

    #[test]
    fn only_a_client_with_an_ip_address_over_tcp_is_taken() {
        let client = IpAddr::from([192, 0, 2, 7]);
        let whole = header(client, 0);
        for (at, value, expected) in [
            (0, b'G', ProxyHeaderError::Signature),
            (12, 0x11, ProxyHeaderError::Command),
            (12, 0x22, ProxyHeaderError::Command),
            (13, 0x00, ProxyHeaderError::Family),
            (13, 0x12, ProxyHeaderError::Family),
            (13, 0x31, ProxyHeaderError::Family),
            (13, 0x21, ProxyHeaderError::Length),
            (14, 0x08, ProxyHeaderError::Length),
        ] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let error = parse(&bytes).0.unwrap_err();
            assert_eq!(error.to_string(), expected.to_string(), "byte {at}");
        }
        let mut local = whole;
        local[12] = 0x20;
        assert_eq!(parse(&local).0.unwrap(), IpAddr::from([127, 0, 0, 1]));
    }
}
