//! The owner of a data directory that root restores a backup into.
//!
//! A data directory belongs to the user of the service, and no file in it may belong to another. Root therefore takes the
//! directory for the time of a restore, closed to all others, and gives it back with all that is in it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::exit::CliError;
use super::output;

/// Where the users of this machine are.
const PASSWD: &str = "/etc/passwd";

/// A user and a group.
type Owner = (u32, u32);

/// The data directory, which belongs to root until this is dropped or given back.
pub(super) struct BorrowedFolder {
    path: PathBuf,
    owner: Option<Owner>,
}

impl BorrowedFolder {
    /// Takes the directory, if this is root and it belongs, or is to belong, to another user.
    ///
    /// # Errors
    ///
    /// `user` is unknown, or this is not root; the error of the operating system.
    pub(super) fn take(path: &Path, user: Option<&str>) -> Result<Self> {
        let is_root = rustix::process::geteuid().is_root();
        if user.is_some() && !is_root {
            return Err(CliError::usage("--user needs root; run the command as that user instead"));
        }
        let wanted = user.map(find_user).transpose()?;
        let present = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_dir);
        let present = present.map(|found| (found.uid(), found.gid()));
        let owner = wanted.or(present).filter(|(user, _)| is_root && *user != 0);
        let borrowed = Self { path: path.to_owned(), owner };
        if borrowed.owner.is_some() && present.is_some() {
            // The directory itself first: from then on its owner can't put anything into it.
            lchown(path, Some(0), Some(0))
                .with_context(|| format!("can't take {}", path.display()))?;
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
            give_content(path, (0, 0))?;
        }
        Ok(borrowed)
    }

    /// Gives the directory back to its owner, with all that is in it.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub(super) fn give_back(mut self) -> Result<()> {
        let given = self.give();
        self.owner = None;
        given
    }

    fn give(&self) -> Result<()> {
        let Some((user, group)) = self.owner.filter(|_| self.path.exists()) else { return Ok(()) };
        give_content(&self.path, (user, group))?;
        lchown(&self.path, Some(user), Some(group))
            .with_context(|| format!("can't give {} to user {user}", self.path.display()))
    }
}

impl Drop for BorrowedFolder {
    fn drop(&mut self) {
        if let Err(error) = self.give() {
            let path = self.path.display();
            let _ = output::note(&format!(
                "warning: {error:#}; run `chown -R USER {path}` with the user of the service"
            ));
        }
    }
}

/// Gives everything in a directory to a user. Links are left as they are, and files that have another name elsewhere:
/// the user of the service could have made both.
fn give_content(folder: &Path, (user, group): Owner) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))? {
        let path = entry?.path();
        let found = path.symlink_metadata()?;
        if found.is_symlink() || found.is_file() && found.nlink() > 1 {
            continue;
        }
        if found.is_dir() {
            give_content(&path, (user, group))?;
        }
        lchown(&path, Some(user), Some(group))
            .with_context(|| format!("can't change the owner of {}", path.display()))?;
    }
    Ok(())
}

/// The ids of a user and its group, by name or number.
fn find_user(wanted: &str) -> Result<Owner> {
    let passwd = fs::read_to_string(PASSWD).unwrap_or_default();
    user_in(&passwd, wanted)
        .ok_or_else(|| CliError::usage(format!("user \"{wanted}\" not found in {PASSWD}")))
}

fn user_in(passwd: &str, wanted: &str) -> Option<Owner> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, user, group, ..] = fields.as_slice() else { return None };
        (*name == wanted || *user == wanted).then_some((user.parse().ok()?, group.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_and_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbroken\nscimd:x:998:997::/var/lib/scimd:/bin/false\n";
        assert_eq!(user_in(passwd, "scimd"), Some((998, 997)));
        assert_eq!(user_in(passwd, "998"), Some((998, 997)));
        assert_eq!(user_in(passwd, "ada"), None);
    }
}
