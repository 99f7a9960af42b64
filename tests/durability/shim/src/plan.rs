//! What the environment asks for.

use std::env;
use std::ffi::c_int;
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What is to be done below a folder; `None` if none is named.
pub(crate) static PLAN: LazyLock<Option<Plan>> = LazyLock::new(Plan::read);

/// What is to be done below a folder.
pub(crate) struct Plan {
    /// The folder, absolute.
    pub(crate) root: String,
    /// What relative paths are relative to.
    pub(crate) cwd: String,
    /// Where calls are logged.
    pub(crate) log: Option<c_int>,
    /// Whether what is written is logged, too.
    pub(crate) with_data: bool,
    /// What goes wrong.
    pub(crate) fault: Option<Fault>,
    /// Whether syncs do nothing.
    pub(crate) sync_lies: bool,
    /// How much longer a sync takes.
    pub(crate) sync_delay: Duration,
    /// How many calls there were.
    pub(crate) count: AtomicU64,
}

/// What goes wrong, and when.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    /// At which call; the first is 1.
    pub(crate) at: u64,
    /// What it meets.
    pub(crate) what: What,
}

/// What a call meets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The process ends before it.
    Kill,
    /// Half of it is done, then the process ends.
    Torn,
    /// It fails, once.
    Error,
    /// It and all later ones that take space fail.
    NoSpace,
}

impl Plan {
    fn read() -> Option<Self> {
        let root = env::var("SHIM_ROOT").ok()?;
        let cwd = env::current_dir().ok()?.to_str()?.to_owned();
        let number = |name: &str| env::var(name).ok().and_then(|text| text.parse().ok());
        Some(Self {
            root,
            cwd,
            log: env::var("SHIM_LOG").ok().and_then(|path| crate::log::open(&path)),
            with_data: env::var_os("SHIM_DATA").is_some(),
            fault: env::var("SHIM_FAULT").ok().and_then(|text| Fault::parse(&text)),
            sync_lies: env::var("SHIM_SYNC").is_ok_and(|text| text == "lie"),
            sync_delay: Duration::from_micros(number("SHIM_SYNC_MICROS").unwrap_or(0)),
            count: AtomicU64::new(0),
        })
    }
}

impl Fault {
    fn parse(text: &str) -> Option<Self> {
        let (what, at) = text.split_once(':')?;
        let what = match what {
            "kill" => What::Kill,
            "torn" => What::Torn,
            "eio" => What::Error,
            "enospc" => What::NoSpace,
            _ => return None,
        };
        Some(Self { at: at.parse().ok()?, what })
    }
}
