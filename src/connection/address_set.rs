//! Sets of IP addresses, for allowlists and trusted proxies.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

use crate::text::InvalidText;

/// A set of IPv4 and IPv6 addresses.
///
/// Read from single addresses, networks (`10.0.0.0/8`, without host bits) and
/// ranges (`10.0.0.1-10.0.0.9`, both ends included), separated by commas, with
/// spaces allowed around each. An IPv4-mapped IPv6 address is the IPv4 address it
/// stands for, in the rules as in the asked address. An IPv6 network never holds an
/// IPv4 address otherwise: `::/0` means any IPv6 address, and no IPv4 address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressSet {
    /// Sorted, without overlap, and never adjacent within a family; IPv4 comes first.
    ranges: Vec<Range>,
}

/// Both ends are included, canonical and of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    first: IpAddr,
    last: IpAddr,
}

impl AddressSet {
    /// The addresses of this machine alone: `127.0.0.0/8, ::1`.
    pub fn loopback() -> Self {
        let first = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0));
        let last = IpAddr::V4(Ipv4Addr::new(127, 255, 255, 255));
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        Self { ranges: vec![Range { first, last }, Range { first: v6, last: v6 }] }
    }

    /// Whether the set holds `address`; costs a binary search.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let after = self.ranges.partition_point(|range| range.first <= address);
        // The last range that starts at or before the address is the only one that can hold it.
        self.ranges.iter().take(after).next_back().is_some_and(|range| address <= range.last)
    }

    /// Whether the set holds every address of another.
    pub fn includes(&self, other: &Self) -> bool {
        let holds = |wanted: &Range| {
            let after = self.ranges.partition_point(|range| range.first <= wanted.first);
            let before = self.ranges.iter().take(after).next_back();
            before.is_some_and(|range| wanted.last <= range.last)
        };
        other.ranges.iter().all(holds)
    }

    /// Whether the set holds no address at all.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Sorts, and joins what overlaps or touches.
    fn merged(mut ranges: Vec<Range>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if last.touches(&range) => last.last = last.last.max(range.last),
                _ => merged.push(range),
            }
        }
        Self { ranges: merged }
    }
}

impl FromStr for AddressSet {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        text.split(',').map(Range::from_str).collect::<Result<_, _>>().map(Self::merged)
    }
}

/// The union of the given sets.
impl FromIterator<Self> for AddressSet {
    fn from_iter<I: IntoIterator<Item = Self>>(sets: I) -> Self {
        Self::merged(sets.into_iter().flat_map(|set| set.ranges).collect())
    }
}

/// Writes the merged set, each part in its shortest form; `from_str` reads it back.
impl fmt::Display for AddressSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.ranges.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            range.fmt(f)?;
        }
        Ok(())
    }
}

impl Range {
    /// Whether `later`, which does not start before `self`, overlaps it or follows at once.
    fn touches(&self, later: &Self) -> bool {
        later.first.is_ipv4() == self.last.is_ipv4()
            && bits(later.first) <= bits(self.last).saturating_add(1)
    }
}

impl FromStr for Range {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let item = text.trim();
        if item.is_empty() {
            return Err(InvalidText::new(
                "empty item \"\"; expected an address, a network or an a-b range",
            ));
        }
        if let Some((address, prefix)) = item.split_once('/') {
            return network(item, address, prefix);
        }
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (address(item, first)?, address(item, last)?);
        if first.is_ipv4() != last.is_ipv4() {
            return Err(InvalidText::new(format!("range {item:?} mixes IPv4 and IPv6")));
        }
        if first > last {
            return Err(InvalidText::new(format!(
                "range {item:?} is reversed; expected \"{last}-{first}\""
            )));
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        let host = bits(*first) ^ bits(*last);
        // A network: the differing bits are the lowest ones, and all of them are clear in `first`.
        let is_network = host & host.wrapping_add(1) == 0 && bits(*first) & host == 0;
        match (host, is_network) {
            (0, _) => write!(f, "{first}"),
            (_, true) => {
                let width = if first.is_ipv4() { 32 } else { 128 };
                write!(f, "{first}/{}", width - host.count_ones())
            }
            (_, false) => write!(f, "{first}-{last}"),
        }
    }
}

/// Reads one address of `item`, canonical.
fn address(item: &str, text: &str) -> Result<IpAddr, InvalidText> {
    if text.contains('%') {
        return Err(InvalidText::new(format!(
            "{item:?} has a zone id; expected the address without %…: a rule applies on every interface"
        )));
    }
    text.trim().parse::<IpAddr>().map(|address| address.to_canonical()).map_err(|_| {
        InvalidText::new(format!(
            "{item:?} is not an address, network or range; expected for example 192.0.2.7, 10.0.0.0/8, 2001:db8::/32 \
             or 192.0.2.1-192.0.2.9"
        ))
    })
}

/// Reads the network `item`, already split at its slash.
fn network(item: &str, written: &str, prefix: &str) -> Result<Range, InvalidText> {
    let canonical = address(item, written)?;
    let mapped = canonical.is_ipv4() && written.contains(':');
    let (least, most) = match (mapped, canonical) {
        (true, _) => (96, 128),
        (false, IpAddr::V4(_)) => (0, 32),
        (false, IpAddr::V6(_)) => (0, 128),
    };
    let prefix = prefix.trim();
    let network = prefix
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| prefix.parse::<u8>().ok())
        .flatten()
        .and_then(|length| length.checked_sub(least))
        .and_then(|length| IpNet::new(canonical, length).ok())
        .ok_or_else(|| {
            InvalidText::new(format!(
                "invalid prefix in {item:?}; expected a number from {least} to {most}"
            ))
        })?;
    if network.network() != canonical {
        return Err(InvalidText::new(format!(
            "{item:?} is an address inside a network; expected \"{}\" for the whole network, or \"{canonical}\" for \
             this address alone",
            network.trunc()
        )));
    }
    Ok(Range { first: network.network(), last: network.broadcast() })
}

/// The address as a number within its family.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> AddressSet {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn display_is_canonical() {
        for (text, shown) in [
            ("10.0.0.0 / 8", "10.0.0.0/8"),
            (" ::1 , 127.0.0.1 ", "127.0.0.1, ::1"),
            ("10.0.0.0-10.0.0.127,10.0.0.128/25", "10.0.0.0/24"),
            ("192.0.2.1 - 192.0.2.9", "192.0.2.1-192.0.2.9"),
            ("0.0.0.0/0,::/0", "0.0.0.0/0, ::/0"),
            ("255.255.255.255,::", "255.255.255.255, ::"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1-10.0.0.2", "10.0.0.1-10.0.0.2"),
        ] {
            assert_eq!(set(text).to_string(), shown);
            assert_eq!(set(shown), set(text));
        }
        assert_eq!(set("127.0.0.0/8, ::1"), AddressSet::loopback());
        assert_eq!(AddressSet::default().to_string(), "");
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        assert!(set("10.0.0.0/8").contains(ip("::ffff:10.9.9.9")));
        assert!(set("::ffff:10.0.0.1").contains(ip("10.0.0.1")));
        assert!(!set("::/0").contains(ip("10.0.0.1")));
        assert!(!set("::/0").contains(ip("::ffff:10.0.0.1")));
        assert!(!set("0.0.0.0/0").contains(ip("::1")));
        assert!(!AddressSet::default().contains(ip("127.0.0.1")));
    }

    #[test]
    fn errors_quote_the_item() {
        for (text, item, words) in [
            ("", "", "empty item"),
            ("10.0.0.1,,10.0.0.2", "", "empty item"),
            ("10.0.0.1,", "", "empty item"),
            ("::1, fe80::1%eth0", "fe80::1%eth0", "zone id"),
            ("fe80::1%eth0/64", "fe80::1%eth0/64", "zone id"),
            ("10.0.0.9-10.0.0.1", "10.0.0.9-10.0.0.1", "reversed"),
            ("10.0.0.1-::1", "10.0.0.1-::1", "mixes"),
            ("::1-::ffff:10.0.0.1", "::1-::ffff:10.0.0.1", "mixes"),
            ("10.0.0.0/33", "10.0.0.0/33", "from 0 to 32"),
            ("10.0.0.0/+8", "10.0.0.0/+8", "from 0 to 32"),
            ("10.0.0.0/", "10.0.0.0/", "from 0 to 32"),
            ("::/129", "::/129", "from 0 to 128"),
            ("::ffff:10.0.0.0/8", "::ffff:10.0.0.0/8", "from 96 to 128"),
            (
                "10.0.0.5/0",
                "10.0.0.5/0",
                "expected \"0.0.0.0/0\" for the whole network, or \"10.0.0.5\"",
            ),
            ("2001:db8::1/32", "2001:db8::1/32", "expected \"2001:db8::/32\""),
            ("::ffff:10.0.0.1/104", "::ffff:10.0.0.1/104", "expected \"10.0.0.0/8\""),
            ("10.0.0.256", "10.0.0.256", "not an address"),
            ("10.0.0.1-10.0.0.2-10.0.0.3", "10.0.0.1-10.0.0.2-10.0.0.3", "not an address"),
            ("localhost", "localhost", "not an address"),
        ] {
            let error = text.parse::<AddressSet>().unwrap_err().to_string();
            assert!(error.contains(&format!("{item:?}")) && error.contains(words), "{error}");
        }
    }

    /// Numbers that are the same on every run (xorshift).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % limit
        }

        /// From few addresses at the ends of each family, so that rules overlap and touch.
        fn address(&mut self) -> IpAddr {
            let low = self.below(48) as u32;
            match self.below(5) {
                0 => IpAddr::V4(Ipv4Addr::from_bits(low)),
                1 => IpAddr::V4(Ipv4Addr::from_bits(u32::MAX - low)),
                2 => IpAddr::V6(Ipv6Addr::from_bits(u128::from(low))),
                3 => IpAddr::V6(Ipv6Addr::from_bits(u128::MAX - u128::from(low))),
                _ => IpAddr::V6(Ipv4Addr::from_bits(low).to_ipv6_mapped()),
            }
        }

        /// A rule as text, and the naive answer to "does it hold this address?".
        fn rule(&mut self) -> (String, Box<dyn Fn(IpAddr) -> bool>) {
            let one = self.address();
            match self.below(3) {
                0 => (one.to_string(), Box::new(move |asked| asked == one.to_canonical())),
                1 => {
                    let one = one.to_canonical();
                    let width = if one.is_ipv4() { 32 } else { 128 };
                    let network = IpNet::new(one, width - self.below(7) as u8).unwrap().trunc();
                    (network.to_string(), Box::new(move |asked| network.contains(&asked)))
                }
                _ => loop {
                    let (first, last) = (one.to_canonical(), self.address());
                    if first.is_ipv4() == last.to_canonical().is_ipv4()
                        && first <= last.to_canonical()
                    {
                        let text = format!("{one} - {last}");
                        let last = last.to_canonical();
                        let same = move |asked: IpAddr| asked.is_ipv4() == first.is_ipv4();
                        break (
                            text,
                            Box::new(move |asked| same(asked) && (first..=last).contains(&asked)),
                        );
                    }
                },
            }
        }
    }

    #[test]
    fn a_set_agrees_with_its_rules_one_by_one() {
        let mut numbers = Numbers(0x5eed);
        for _ in 0..400 {
            let (texts, rules): (Vec<_>, Vec<_>) =
                (0..=numbers.below(8)).map(|_| numbers.rule()).unzip();
            let set = set(&texts.join(","));
            assert_eq!(set.to_string().parse::<AddressSet>().unwrap(), set);
            for _ in 0..100 {
                let asked = numbers.address();
                let expected = rules.iter().any(|rule| rule(asked.to_canonical()));
                assert_eq!(set.contains(asked), expected, "{asked} in {texts:?}");
            }
        }
    }
}
