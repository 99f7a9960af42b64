//! Stands between scimd and the operating system, and makes the disk misbehave.
//!
//! Loaded by `LD_PRELOAD`. It takes the calls that change files below one folder, counts them, logs
//! them, and lets one of them fail or be the last. It also makes clocks jump. What it does is said in
//! the environment:
//!
//! | variable | means |
//! | --- | --- |
//! | `SHIM_ROOT` | the folder; without it nothing is touched |
//! | `SHIM_LOG` | where calls are logged, see [`log`] |
//! | `SHIM_DATA` | log also what is written |
//! | `SHIM_FAULT` | `kill:N`, `torn:N`, `eio:N`, `enospc:N`: what the Nth call meets |
//! | `SHIM_SYNC` | `lie`: syncs do nothing and succeed |
//! | `SHIM_SYNC_MICROS` | how much longer each sync takes |
//! | `SHIM_CLOCK` | a seed: the wall clock jumps |
//!
//! Every call is made as a bare system call, so that nothing here calls itself.

mod clock;
mod log;
mod plan;

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plan::{Fault, PLAN, Plan};

/// The inode behind each descriptor of a file below the root; 0 for none.
static INODES: [AtomicU64; 4096] = [const { AtomicU64::new(0) }; 4096];
/// One call at a time, so that the log has them in the order in which they happened.
static ORDER: Mutex<()> = Mutex::new(());

const MAX_PATH: usize = 4096;

/// What a call is about to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Takes space on the disk.
    Grow,
    /// Changes a file or folder without taking space.
    Alter,
    /// Puts a file or folder on disk.
    Sync,
}

fn inode(fd: c_int) -> u64 {
    let slot = usize::try_from(fd).ok().and_then(|fd| INODES.get(fd));
    slot.map_or(0, |slot| slot.load(Ordering::Relaxed))
}

fn remember(fd: c_int, inode: u64) {
    if let Some(slot) = usize::try_from(fd).ok().and_then(|fd| INODES.get(fd)) {
        slot.store(inode, Ordering::Relaxed);
    }
}

/// The absolute form of a path that a call was given, if it lies below the root.
fn below_root(plan: &Plan, path: *const c_char) -> Option<String> {
    // SAFETY: the caller of the intercepted function owes it a valid C string.
    let path = unsafe { CStr::from_ptr(path) }.to_str().ok()?;
    if path.len() >= MAX_PATH {
        return None;
    }
    let absolute =
        if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", plan.cwd) };
    let rest = absolute.strip_prefix(&plan.root)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(absolute)
}

fn order() -> MutexGuard<'static, ()> {
    ORDER.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fail(error: c_int) -> c_long {
    // SAFETY: errno is this thread's own.
    unsafe { *libc::__errno_location() = error };
    -1
}

fn die() {
    // SAFETY: plain system calls without pointers.
    unsafe {
        libc::syscall(libc::SYS_kill, libc::syscall(libc::SYS_getpid), c_long::from(libc::SIGKILL));
    }
}

/// Counts a call; an error if it is to fail. `torn` does half of it before the end.
fn meet(plan: &Plan, kind: Kind, call: &str, torn: impl FnOnce()) -> Result<(), c_int> {
    let number = plan.count.fetch_add(1, Ordering::Relaxed) + 1;
    let Some(Fault { at, what }) = plan.fault else { return Ok(()) };
    let full = what == plan::What::NoSpace && kind == Kind::Grow && number > at;
    if number != at && !full {
        return Ok(());
    }
    if number == at {
        log::line(plan, &format!("F {number} {call}"));
    }
    match what {
        plan::What::Kill => die(),
        plan::What::Torn => {
            torn();
            die();
        }
        plan::What::Error => return Err(libc::EIO),
        plan::What::NoSpace => return Err(libc::ENOSPC),
    }
    Ok(())
}

/// Makes a call on a file below the root, and logs it.
fn altered(
    plan: &Plan,
    kind: Kind,
    name: &str,
    line: impl FnOnce(c_long) -> String,
    call: impl FnOnce() -> c_long,
) -> c_long {
    let _order = order();
    if let Err(error) = meet(plan, kind, name, || ()) {
        return fail(error);
    }
    let result = call();
    // Logging must not change the error that the caller reads.
    // SAFETY: errno is this thread's own.
    let error = unsafe { *libc::__errno_location() };
    if result < 0 {
        log::line(plan, &format!("X {name}"));
    } else {
        log::line(plan, &line(result));
    }
    // SAFETY: the same.
    unsafe { *libc::__errno_location() = error };
    result
}

fn stat_inode(fd: c_int) -> u64 {
    // SAFETY: zeroed is a valid `stat`, and the kernel writes one.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::syscall(libc::SYS_fstat, c_long::from(fd), &raw mut stat) == 0 {
            stat.st_ino
        } else {
            0
        }
    }
}

fn exists(folder: c_int, path: *const c_char) -> bool {
    // SAFETY: the path is the caller's C string.
    unsafe {
        libc::syscall(libc::SYS_faccessat, c_long::from(folder), path, c_long::from(libc::F_OK))
            == 0
    }
}

fn open_at(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    let call = || {
        // SAFETY: the arguments are the caller's.
        unsafe {
            libc::syscall(
                libc::SYS_openat,
                c_long::from(folder),
                path,
                c_long::from(flags),
                c_long::from(mode),
            )
        }
    };
    let Some((plan, shown)) = PLAN.as_ref().and_then(|plan| Some((plan, below_root(plan, path)?)))
    else {
        return call() as c_int;
    };
    let creates = flags & libc::O_CREAT != 0 && !exists(folder, path);
    let truncates = flags & libc::O_TRUNC != 0;
    let kind = if creates { Kind::Grow } else { Kind::Alter };
    let line = |fd: c_long| {
        let inode = stat_inode(fd as c_int);
        remember(fd as c_int, inode);
        let how = match (creates, truncates) {
            (true, _) => 'c',
            (false, true) => 't',
            (false, false) => '-',
        };
        format!("O {inode} {how} {shown}")
    };
    altered(plan, kind, "open", line, call) as c_int
}

/// Intercepts open(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    open_at(libc::AT_FDCWD, path, flags, mode)
}

/// Intercepts open(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    open_at(libc::AT_FDCWD, path, flags, mode)
}

/// Intercepts openat(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mode: c_uint,
) -> c_int {
    open_at(folder, path, flags, mode)
}

/// Intercepts openat(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat64(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mode: c_uint,
) -> c_int {
    open_at(folder, path, flags, mode)
}

/// Intercepts close(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(fd: c_int) -> c_int {
    remember(fd, 0);
    // SAFETY: the argument is the caller's.
    unsafe { libc::syscall(libc::SYS_close, c_long::from(fd)) as c_int }
}

fn write_at(fd: c_int, bytes: *const c_void, length: usize, offset: Option<i64>) -> isize {
    let call = |length: usize| {
        // SAFETY: the arguments are the caller's, or fewer of the caller's bytes.
        unsafe {
            match offset {
                Some(offset) => {
                    libc::syscall(libc::SYS_pwrite64, c_long::from(fd), bytes, length, offset)
                }
                None => libc::syscall(libc::SYS_write, c_long::from(fd), bytes, length),
            }
        }
    };
    let (Some(plan), inode @ 1..) = (PLAN.as_ref(), inode(fd)) else {
        return call(length) as isize;
    };
    let _order = order();
    let torn = || {
        call(length / 2);
    };
    if let Err(error) = meet(plan, Kind::Grow, "write", torn) {
        return fail(error) as isize;
    }
    let written = call(length);
    if written >= 0 {
        // SAFETY: a plain system call.
        let at = offset.unwrap_or_else(|| unsafe {
            let here = c_long::from(libc::SEEK_CUR);
            libc::syscall(libc::SYS_lseek, c_long::from(fd), 0 as c_long, here) - written
        });
        // SAFETY: so many bytes were just read from there by the kernel.
        let data = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), written as usize) };
        log::write(plan, inode, at, data);
    }
    written as isize
}

/// Intercepts write(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, length: usize) -> isize {
    write_at(fd, bytes, length, None)
}

/// Intercepts pwrite(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(
    fd: c_int,
    bytes: *const c_void,
    length: usize,
    offset: i64,
) -> isize {
    write_at(fd, bytes, length, Some(offset))
}

/// Intercepts pwrite(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(
    fd: c_int,
    bytes: *const c_void,
    length: usize,
    offset: i64,
) -> isize {
    write_at(fd, bytes, length, Some(offset))
}

fn truncate_to(fd: c_int, length: i64) -> c_int {
    let call = || {
        // SAFETY: the arguments are the caller's.
        unsafe { libc::syscall(libc::SYS_ftruncate, c_long::from(fd), length) }
    };
    let (Some(plan), inode @ 1..) = (PLAN.as_ref(), inode(fd)) else {
        return call() as c_int;
    };
    altered(plan, Kind::Alter, "truncate", |_| format!("T {inode} {length}"), call) as c_int
}

/// Intercepts ftruncate(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate(fd: c_int, length: i64) -> c_int {
    truncate_to(fd, length)
}

/// Intercepts ftruncate(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(fd: c_int, length: i64) -> c_int {
    truncate_to(fd, length)
}

/// `durable`: whether the call promises that the file is on disk.
fn synced(fd: c_int, name: &str, durable: bool, call: impl FnOnce() -> c_long) -> c_int {
    let (Some(plan), inode @ 1..) = (PLAN.as_ref(), inode(fd)) else {
        return call() as c_int;
    };
    if plan.sync_delay > Duration::ZERO {
        std::thread::sleep(plan.sync_delay);
    }
    let lies = plan.sync_lies;
    let mark = if durable && !lies { 'S' } else { 's' };
    let call = || if lies { 0 } else { call() };
    altered(plan, Kind::Sync, name, |_| format!("{mark} {inode}"), call) as c_int
}

/// Intercepts fsync(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    // SAFETY: the argument is the caller's.
    synced(fd, "fsync", true, || unsafe { libc::syscall(libc::SYS_fsync, c_long::from(fd)) })
}

/// Intercepts fdatasync(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    // SAFETY: the argument is the caller's.
    synced(fd, "fdatasync", true, || unsafe {
        libc::syscall(libc::SYS_fdatasync, c_long::from(fd))
    })
}

/// Intercepts `sync_file_range(2)`, which promises nothing about a loss of power.
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sync_file_range(
    fd: c_int,
    offset: i64,
    length: i64,
    flags: c_uint,
) -> c_int {
    synced(fd, "sync_file_range", false, || {
        // SAFETY: the arguments are the caller's.
        unsafe {
            libc::syscall(
                libc::SYS_sync_file_range,
                c_long::from(fd),
                offset,
                length,
                c_long::from(flags),
            )
        }
    })
}

/// Intercepts rename(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let folder = c_long::from(libc::AT_FDCWD);
    // SAFETY: the arguments are the caller's.
    let call = || unsafe { libc::syscall(libc::SYS_renameat, folder, from, folder, to) };
    let shown =
        PLAN.as_ref().and_then(|plan| Some((plan, below_root(plan, from)?, below_root(plan, to)?)));
    match shown {
        Some((plan, from, to)) => {
            altered(plan, Kind::Alter, "rename", |_| format!("R {from}\t{to}"), call) as c_int
        }
        None => call() as c_int,
    }
}

fn remove(path: *const c_char, call: impl FnOnce() -> c_long) -> c_int {
    match PLAN.as_ref().and_then(|plan| Some((plan, below_root(plan, path)?))) {
        Some((plan, path)) => {
            altered(plan, Kind::Alter, "unlink", |_| format!("U {path}"), call) as c_int
        }
        None => call() as c_int,
    }
}

/// Intercepts unlink(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    let folder = c_long::from(libc::AT_FDCWD);
    // SAFETY: the argument is the caller's.
    remove(path, || unsafe { libc::syscall(libc::SYS_unlinkat, folder, path, 0 as c_long) })
}

/// Intercepts rmdir(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    let folder = c_long::from(libc::AT_FDCWD);
    let flags = c_long::from(libc::AT_REMOVEDIR);
    // SAFETY: the argument is the caller's.
    remove(path, || unsafe { libc::syscall(libc::SYS_unlinkat, folder, path, flags) })
}

/// Intercepts mkdir(2).
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(path: *const c_char, mode: c_uint) -> c_int {
    let folder = c_long::from(libc::AT_FDCWD);
    // SAFETY: the arguments are the caller's.
    let call = || unsafe { libc::syscall(libc::SYS_mkdirat, folder, path, c_long::from(mode)) };
    match PLAN.as_ref().and_then(|plan| Some((plan, below_root(plan, path)?))) {
        Some((plan, path)) => {
            altered(plan, Kind::Grow, "mkdir", |_| format!("D {path}"), call) as c_int
        }
        None => call() as c_int,
    }
}

/// Intercepts `clock_gettime(2)`: the wall clock jumps, if that is asked for.
///
/// # Safety
///
/// As for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut libc::timespec) -> c_int {
    // SAFETY: the arguments are the caller's.
    let result =
        unsafe { libc::syscall(libc::SYS_clock_gettime, c_long::from(clock), time) } as c_int;
    if clock == libc::CLOCK_REALTIME
        && result == 0
        && let Some(seed) = clock::seed()
    {
        // SAFETY: the kernel has just written there.
        unsafe { (*time).tv_sec = clock::jumped((*time).tv_sec, seed) };
    }
    result
}
