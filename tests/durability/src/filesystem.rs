//! Power cuts of a real file system: ext4 on an image is told to stop at once, without writing out
//! what it has in memory; then it is mounted again and replays its own journal.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::environment::Mounted;
use crate::finding::{Finding, Harm};
use crate::history::Player;
use crate::perform::{self, Outcome};
use crate::recovery;
use crate::report::Row;
use crate::server::{Launch, Place};
use crate::session::{Cycle, Session};

/// `EXT4_IOC_SHUTDOWN` and `XFS_IOC_GOINGDOWN`: the same number.
const SHUTDOWN: libc::c_ulong = 0x8004_587d;
/// Nothing is written out before, not even the file system's journal.
const NO_LOG_FLUSH: u32 = 2;
/// How often one file system is cut off.
const LIVES: usize = 5;

/// Cuts ext4 off under load.
pub(crate) fn shut_down(session: &Session) -> Row {
    let tally = session.tally("ext4-shutdown", false);
    match works(&session.work.join("probe-ext4")) {
        Ok(()) => {
            let limit = Duration::from_secs(60);
            session.share_out("ext4-shutdown", 8 * session.factor, limit, &tally, lives);
        }
        Err(error) => tally.not_measured(error),
    }
    tally.row()
}

/// Whether a file system can be made, mounted and cut off here.
fn works(folder: &Path) -> Result<(), String> {
    let image = make(folder)?;
    let disk = folder.join("disk");
    let _mounted = mount(&image, &disk)?;
    cut_off(&disk)
}

fn make(folder: &Path) -> Result<String, String> {
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let image = folder.join("image");
    let file = File::create(&image).map_err(|error| error.to_string())?;
    file.set_len(96 * 1024 * 1024).map_err(|error| error.to_string())?;
    let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image).output();
    match made {
        Ok(output) if output.status.success() => Ok(image.display().to_string()),
        Ok(output) => Err(format!("mkfs.ext4: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("there is no mkfs.ext4: {error}")),
    }
}

fn mount(image: &str, disk: &Path) -> Result<Mounted, String> {
    Mounted::mount(&["-o", "loop", "-t", "ext4", image], disk)
        .map_err(|error| format!("an image can't be mounted: {error}"))
}

#[expect(unsafe_code, reason = "nothing wraps this ioctl")]
fn cut_off(disk: &Path) -> Result<(), String> {
    let folder = File::open(disk).map_err(|error| error.to_string())?;
    let how = NO_LOG_FLUSH;
    // SAFETY: the descriptor is open, and the kernel reads one u32.
    let done = unsafe { libc::ioctl(folder.as_raw_fd(), SHUTDOWN, &raw const how) };
    if done == 0 {
        Ok(())
    } else {
        let error = std::io::Error::last_os_error();
        Err(format!("the file system can't be shut down: {error}"))
    }
}

fn lives(cycle: &mut Cycle<'_>) -> Result<(), String> {
    let image = make(cycle.folder)?;
    let disk = cycle.folder.join("disk");
    let mut players = Player::several(3, &mut cycle.random, true);
    let mut mounted = mount(&image, &disk)?;
    let place = Place::fresh(&cycle.session.template, &disk.join("place"))?;
    // What a server begins with was put there long ago.
    Command::new("sync").arg("-f").arg(&disk).status().map_err(|error| error.to_string())?;
    cycle.tally.plan(LIVES - 1);
    for _ in 0..LIVES {
        let mut server = place.start(&Launch::default()).map_err(|failed| failed.to_string())?;
        let load = Duration::from_millis(5 + cycle.random.below(150) as u64);
        let client = place.client();
        let (cut, refused) = std::thread::scope(|scope| {
            let play =
                |player| scope.spawn(|| perform::play(player, &client, &place, usize::MAX).1);
            let playing: Vec<_> = players.iter_mut().map(play).collect();
            std::thread::sleep(load);
            let cut = cut_off(&disk);
            // Whoever is still answered is answered from memory.
            std::thread::sleep(Duration::from_millis(5));
            server.kill();
            let ended = playing.into_iter().filter_map(|one| one.join().ok().flatten());
            let refused = ended.filter_map(|one| match one {
                Outcome::Refused(text) => Some(Finding::new(Harm::WrongAnswer, text)),
                _ => None,
            });
            (cut, refused.collect::<Vec<_>>())
        });
        cut?;
        drop(mounted);
        mounted = mount(&image, &disk)?;
        let (started, mut findings) = recovery::recover(&place, &mut players, &mut cycle.random);
        findings.extend(refused);
        let log = started.as_ref().map(|server| server.log()).unwrap_or_default();
        cycle.tally.found(cycle.number, &findings, &place, &log);
        cycle.tally.cycle(1, players.iter().map(|player| player.history.len()).sum());
        match started {
            Some(server) => server.stop()?,
            None => break,
        }
    }
    drop(mounted);
    Ok(())
}
