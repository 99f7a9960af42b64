//! What there is before the load begins: a server with users and groups, an application, and webhooks.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use hyper::Method;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::ledger::Ledger;
use super::receiver::{self, Receiver};
use super::{Problems, Soak, consumers};
use crate::client::{Ask, Connection, Target};
use crate::process;
use crate::scimd::Scimd;
use crate::seed::{self, Groups, Users};

/// The application that the consumers of the feed belong to.
const APPLICATION: &str = "soak";
/// The webhooks, and what comes before the address of each receiver and behind it. The one on HTTPS takes all deliveries.
const WEBHOOKS: [(&str, &str, &str); 2] =
    [("steady", "https://", "ca_file = \"data/tls/cert.pem\"\n"), (FAILING, "http://", "")];
const FAILING: &str = "failing";

pub struct Stage {
    pub scimd: Scimd,
    pub users: Arc<Users>,
    pub groups: Groups,
    /// The number of the next user that is created.
    next: Arc<AtomicUsize>,
    pub application: Target,
    /// How many events the feed has already, and the cursor behind them.
    pub events: usize,
    pub begin: String,
    pub console: Target,
    /// The receivers of the webhooks. Nothing is accepted yet.
    pub receivers: Vec<(Arc<Receiver>, TcpListener)>,
}

impl Stage {
    /// Makes it. The server has been started again: memory is as after a start, not as after filling.
    pub fn set(options: &Soak, runtime: &Runtime, problems: &Arc<Problems>) -> Result<Self> {
        let console = process::free_address()?;
        let more = format!(
            "\n[console]\naddress = \"{console}\"\n\n[applications.{APPLICATION}]\nscopes = [\"events\"]\n"
        );
        let mut scimd = Scimd::first_boot_with(&options.scimd, &options.dir, &more)?;
        let target = scimd.target()?;
        eprintln!("filling with {} users", options.users);
        let users = Arc::new(seed::users(&target, options.users as usize)?);
        let groups = seed::groups(&target, &users)?;
        let next = Arc::new(AtomicUsize::new(users.ids.len()));
        let application = target.with_token(&scimd.application_token(APPLICATION)?)?;
        let (ledger, begin) = runtime.block_on(async {
            let last = create_user(&target, &next).await?;
            consumers::read_until(&application, &last).await
        })?;
        let receivers = runtime.block_on(receivers(&scimd, problems))?;
        scimd.stop()?;
        scimd.start()?;
        let (events, console) = (ledger.len(), target.at(console));
        Ok(Self { scimd, users, groups, next, application, events, begin, console, receivers })
    }

    /// Counts up for each user that is created.
    pub fn next(&self) -> &Arc<AtomicUsize> {
        &self.next
    }

    /// Creates a user, whose events are the last ones of the feed; all that the feed has.
    pub async fn whole_feed(&self) -> Result<Ledger> {
        let last = create_user(&self.scimd.target()?, &self.next).await?;
        Ok(consumers::read_until(&self.application, &last).await?.0)
    }
}

/// Configures webhooks for the next start.
async fn receivers(
    scimd: &Scimd,
    problems: &Arc<Problems>,
) -> Result<Vec<(Arc<Receiver>, TcpListener)>> {
    let secret = scimd.command_line().folder().join("webhook-secret");
    fs::write(&secret, receiver::secret())?;
    fs::set_permissions(&secret, Permissions::from_mode(0o600))?;
    let mut receivers = Vec::new();
    for (name, scheme, more) in WEBHOOKS {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        scimd.configure(&format!(
            "\n[webhooks.{name}]\nurl = \"{scheme}{address}/hook\"\nsecret_file = \"webhook-secret\"\n{more}"
        ))?;
        receivers.push((Receiver::new(name, name == FAILING, problems), listener));
    }
    Ok(receivers)
}

/// Creates one more user; its id.
async fn create_user(target: &Target, next: &AtomicUsize) -> Result<String> {
    let user = seed::user(next.fetch_add(1, Ordering::Relaxed));
    let ask = Ask::send(Method::POST, "/scim/v2/Users", user.to_string());
    let created = Connection::open(target).await?.ask(ask).await?.json()?;
    Ok(created["id"].as_str().context("a user without an id")?.to_owned())
}
