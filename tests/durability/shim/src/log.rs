//! The log of calls: one line each, in the order in which they happened.
//!
//! ```text
//! O inode c|t|- path     opened: c created, t emptied
//! W inode offset length  written; with SHIM_DATA the bytes and a line feed follow
//! T inode length         cut or extended
//! S inode, s inode       synced; s: without a promise
//! R from TAB to          renamed
//! U path                 removed
//! D path                 a folder was made
//! X call                 failed by itself
//! F number call          the fault was met
//! ```
//!
//! Others may append lines that begin with `M`.

use std::ffi::{CString, c_int, c_long};

use crate::plan::Plan;

/// Out of the way of descriptors that the process counts on.
const LOWEST: c_int = 700;

/// Opens the log for appending.
pub(crate) fn open(path: &str) -> Option<c_int> {
    let path = CString::new(path).ok()?;
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
    // SAFETY: plain system calls, and a C string that outlives them.
    unsafe {
        let fd = libc::syscall(
            libc::SYS_openat,
            c_long::from(libc::AT_FDCWD),
            path.as_ptr(),
            c_long::from(flags),
            0o600 as c_long,
        );
        let how = c_long::from(libc::F_DUPFD_CLOEXEC);
        let high = libc::syscall(libc::SYS_fcntl, fd, how, c_long::from(LOWEST));
        if high < 0 {
            return c_int::try_from(fd).ok().filter(|fd| *fd >= 0);
        }
        libc::syscall(libc::SYS_close, fd);
        c_int::try_from(high).ok()
    }
}

/// Appends a line.
pub(crate) fn line(plan: &Plan, text: &str) {
    append(plan, format!("{text}\n").as_bytes());
}

/// Appends what was written.
pub(crate) fn write(plan: &Plan, inode: u64, offset: i64, data: &[u8]) {
    let mut record = format!("W {inode} {offset} {}\n", data.len()).into_bytes();
    if plan.with_data {
        record.extend_from_slice(data);
        record.push(b'\n');
    }
    append(plan, &record);
}

fn append(plan: &Plan, bytes: &[u8]) {
    if let Some(log) = plan.log {
        // SAFETY: a plain system call with a slice's bytes.
        unsafe { libc::syscall(libc::SYS_write, c_long::from(log), bytes.as_ptr(), bytes.len()) };
    }
}
