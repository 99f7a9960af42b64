//! The bare server: hyper over rustls, one fixed answer.
//!
//! Runtime, socket options and TLS are set as scimd sets them. A request's body is read, and nothing
//! is looked at: what scimd takes longer is what it does.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

#[derive(clap::Args)]
pub struct Bare {
    /// Where to listen
    #[arg(long)]
    address: SocketAddr,
    /// The certificate, PEM
    #[arg(long)]
    certificate: PathBuf,
    /// Its private key, PEM
    #[arg(long)]
    key: PathBuf,
    /// How many bytes the answer has
    #[arg(long)]
    bytes: usize,
}

impl Bare {
    /// Serves until killed.
    pub fn serve(self) -> Result<()> {
        let acceptor = acceptor(&self.certificate, &self.key)?;
        let body = Bytes::from(vec![b' '; self.bytes]);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async move {
            let listener = TcpListener::bind(self.address).await?;
            println!("listening");
            std::io::stdout().flush()?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let (acceptor, body) = (acceptor.clone(), body.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let answer = service_fn(|request| answer(request, body.clone()));
                    // Whoever goes away is of no interest.
                    let _ = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(stream), answer)
                        .await;
                });
            }
        })
    }
}

/// What a server with that certificate and key shakes hands with.
pub fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)?.collect();
    let key = PrivateKeyDer::from_pem_file(key)?;
    let mut config =
        rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_single_cert(chain?, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn answer(
    request: Request<Incoming>,
    body: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // A body that breaks off ends the connection anyway.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(body));
    let json = HeaderValue::from_static("application/scim+json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

/// A bare server that runs; killed when dropped.
pub struct Running {
    child: Child,
    pub address: SocketAddr,
}

impl Running {
    /// Starts one that answers so many bytes, with that certificate and key.
    pub fn start(certificate: PathBuf, key: PathBuf, bytes: usize) -> Result<Self> {
        let address = crate::process::free_address()?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bare", "--address", &address.to_string(), "--bytes", &bytes.to_string()])
            .args(["--certificate".as_ref(), certificate.as_os_str()])
            .args(["--key".as_ref(), key.as_os_str()])
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start the bare server")?;
        let mut told = String::new();
        let stdout = child.stdout.take().context("the bare server has no output")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut told)?;
        let running = Self { child, address };
        anyhow::ensure!(told == "listening\n", "the bare server does not listen");
        Ok(running)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
