//! System calls that the server never makes, refused by seccomp (`seccomp(2)`).
//!
//! They are those that `packaging/scimd.service` leaves out of `SystemCallFilter`, with what its other settings
//! refuse: other address families, namespaces, memory that is written and executed. A call that is refused fails
//! with EPERM, as under the unit.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads, sock_filter,
};

use super::programs::Programs;

/// The groups of systemd (`systemd-analyze syscall-filter`) that the unit does not allow.
#[rustfmt::skip]
const REFUSED: &[i64] = &[
    // @privileged
    libc::SYS_acct, libc::SYS_bpf, libc::SYS_capset, libc::SYS_chroot, libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark, libc::SYS_fchown, libc::SYS_fchownat, libc::SYS_nfsservctl, libc::SYS_open_by_handle_at,
    libc::SYS_pivot_root, libc::SYS_quotactl, libc::SYS_quotactl_fd, libc::SYS_setdomainname, libc::SYS_setfsuid,
    libc::SYS_setgroups, libc::SYS_sethostname, libc::SYS_setresuid, libc::SYS_setreuid, libc::SYS_setuid,
    libc::SYS_vhangup,
    // @clock
    libc::SYS_adjtimex, libc::SYS_clock_adjtime, libc::SYS_clock_settime, libc::SYS_settimeofday,
    // @module, @reboot, @swap
    libc::SYS_delete_module, libc::SYS_finit_module, libc::SYS_init_module, libc::SYS_kexec_load, libc::SYS_reboot,
    libc::SYS_swapoff, libc::SYS_swapon,
    // @resources
    libc::SYS_ioprio_set, libc::SYS_mbind, libc::SYS_migrate_pages, libc::SYS_move_pages, libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr, libc::SYS_sched_setparam, libc::SYS_sched_setscheduler, libc::SYS_set_mempolicy,
    libc::SYS_set_mempolicy_home_node, libc::SYS_setpriority,
    // @debug, @mount, and others that are not in @system-service
    libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_fsopen, libc::SYS_fspick, libc::SYS_kcmp, libc::SYS_lookup_dcookie,
    libc::SYS_mount, libc::SYS_mount_setattr, libc::SYS_move_mount, libc::SYS_open_tree, libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_ptrace,
    libc::SYS_syslog, libc::SYS_umount2, libc::SYS_userfaultfd,
    // Keys of the kernel, and a second way to make system calls.
    libc::SYS_add_key, libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_io_uring_setup,
    libc::SYS_keyctl, libc::SYS_request_key,
    // Namespaces, another personality.
    libc::SYS_personality, libc::SYS_setns, libc::SYS_unshare,
];

/// Calls that this architecture alone has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const REFUSED_HERE: &[i64] = &[
    libc::SYS__sysctl, libc::SYS_chown, libc::SYS_ioperm,
    libc::SYS_iopl, libc::SYS_kexec_file_load, libc::SYS_lchown, libc::SYS_modify_ldt,
    libc::SYS_setrlimit, libc::SYS_uselib, libc::SYS_ustat,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

/// Calls that start another program in this process.
const OF_PROGRAMS: [i64; 2] = [libc::SYS_execve, libc::SYS_execveat];

/// The flags of `clone` that make a namespace: of mounts, control groups, host names, IPC, users, processes, networks.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// The address families of sockets.
const FAMILIES: [i32; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// Refuses the calls of all threads of this process, from here on.
///
/// # Errors
///
/// The kernel lacks seccomp, or this architecture has no filter.
pub(super) fn restrict(programs: Programs) -> Result<(), Error> {
    for filter in filters(programs)? {
        apply_filter_all_threads(&filter)?;
    }
    Ok(())
}

fn filters(programs: Programs) -> Result<[BpfProgram; 2], Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().chain(REFUSED_HERE).map(|&call| (call, Vec::new())).collect();
    if rustix::process::geteuid().is_root() {
        // A server that runs as root gives what it writes to conf.d to the owner of conf.d.
        rules.remove(&libc::SYS_fchown);
    }
    if programs == Programs::Refused {
        rules.extend(OF_PROGRAMS.map(|call| (call, Vec::new())));
    }
    let other_family = FAMILIES.map(|family| argument(0, SeccompCmpOp::Ne, family));
    rules.insert(libc::SYS_socket, vec![rule(other_family)?]);
    let namespaces = NAMESPACES.map(|flag| rule([has(0, flag)]));
    rules.insert(libc::SYS_clone, namespaces.into_iter().collect::<Result<_, _>>()?);
    let written_and_executed = rule([has(2, libc::PROT_WRITE), has(2, libc::PROT_EXEC)])?;
    rules.insert(libc::SYS_mmap, vec![written_and_executed]);
    for call in [libc::SYS_mprotect, libc::SYS_pkey_mprotect] {
        rules.insert(call, vec![rule([has(2, libc::PROT_EXEC)])?]);
    }
    // The flags of clone3 can't be seen. The C library then takes clone.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    Ok([filter(rules, libc::EPERM)?, filter(clone3, libc::ENOSYS)?])
}

/// The filter that answers these calls with an error.
fn filter(rules: BTreeMap<i64, Vec<SeccompRule>>, error: i32) -> Result<BpfProgram, Error> {
    let refuse = SeccompAction::Errno(error.unsigned_abs());
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)?;
    let mut program = other_numbers_refused();
    program.extend(BpfProgram::try_from(filter)?);
    Ok(program)
}

/// Refuses calls by the numbers of x32, under which 64-bit processes reach the same calls.
fn other_numbers_refused() -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20;
    const IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const FIRST_OF_X32: u32 = 0x4000_0000;
    if !cfg!(target_arch = "x86_64") {
        return Vec::new();
    }
    let refuse = u32::from(SeccompAction::Errno(libc::ENOSYS.unsigned_abs()));
    vec![
        sock_filter { code: LOAD_NUMBER, jt: 0, jf: 0, k: 0 },
        sock_filter { code: IF_AT_LEAST, jt: 0, jf: 1, k: FIRST_OF_X32 },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: refuse },
    ]
}

/// A rule that all of the conditions make.
fn rule<const N: usize>(
    conditions: [Result<SeccompCondition, Error>; N],
) -> Result<SeccompRule, Error> {
    let conditions = conditions.into_iter().collect::<Result<_, _>>()?;
    Ok(SeccompRule::new(conditions)?)
}

/// That an argument has a flag.
fn has(index: u8, flag: i32) -> Result<SeccompCondition, Error> {
    argument(index, SeccompCmpOp::MaskedEq(u64::from(flag.unsigned_abs())), flag)
}

fn argument(index: u8, operator: SeccompCmpOp, value: i32) -> Result<SeccompCondition, Error> {
    let value = u64::from(value.unsigned_abs());
    Ok(SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::net::{AddressFamily, SocketType, socket};
    use rustix::process::{Pid, getpriority_process, setpriority_process};
    use seccompiler::apply_filter;

    use super::*;

    /// What comes of it on a thread that is restricted, which ends with it.
    fn restricted<T: Send>(programs: Programs, then: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                for filter in filters(programs).unwrap() {
                    apply_filter(&filter).unwrap();
                }
                then()
            });
            thread.join().unwrap()
        })
    }

    #[test]
    fn calls_that_the_server_never_makes_are_refused() {
        restricted(Programs::Refused, || {
            let denied = rustix::io::Errno::PERM;
            let us: Option<Pid> = Some(rustix::process::getpid());
            let present = getpriority_process(us).unwrap();
            assert_eq!(setpriority_process(us, present).unwrap_err(), denied);
            assert_eq!(socket(AddressFamily::NETLINK, SocketType::RAW, None).unwrap_err(), denied);
            let refused = std::os::unix::fs::chown(".", Some(0), None).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
            let file = std::fs::File::open("/dev/null").unwrap();
            let same = std::os::unix::fs::fchown(&file, None, None).is_ok();
            assert_eq!(same, rustix::process::geteuid().is_root(), "root alone gives files away");
            for family in [AddressFamily::INET, AddressFamily::INET6, AddressFamily::UNIX] {
                socket(family, SocketType::STREAM, None).unwrap();
            }
            std::thread::spawn(|| 1).join().unwrap();
        });
    }

    #[test]
    fn programs_start_only_if_they_may() {
        let error = restricted(Programs::Refused, || Command::new("true").status()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        assert!(restricted(Programs::Allowed, || Command::new("true").status()).unwrap().success());
    }
}
