//! The operator as an actor: the Unix user that a command runs as.

use std::fs;

use crate::event::{Actor, SudoUser};

/// Where the names of local users are.
const PASSWD: &str = "/etc/passwd";

/// The longest name that is recorded of a user behind sudo, in bytes.
const MAX_NAME: usize = 256;

/// The operator whose command came through the admin socket, from a process of the user `uid`; `sudo` is what
/// that process says of the user behind it.
pub fn over_socket(uid: u32, sudo: Option<SudoUser>) -> Actor {
    let sudo = sudo.filter(|sudo| (1..=MAX_NAME).contains(&sudo.name.len()));
    Actor::Operator { name: Some(user_name(uid)), uid: Some(uid), sudo }
}

/// The operator whose command this process runs without a server.
pub fn offline() -> Actor {
    over_socket(rustix::process::getuid().as_raw(), sudo_user())
}

/// The user who runs this process through sudo, if one does.
pub fn sudo_user() -> Option<SudoUser> {
    let name = std::env::var("SUDO_USER").ok()?;
    let uid = std::env::var("SUDO_UID").ok()?.parse().ok()?;
    Some(SudoUser { name, uid })
}

/// The name of a local user, or `uid N` for one that has none here.
///
/// The file is read as it is: the functions of the C library load further libraries, which a static
/// binary can't.
fn user_name(uid: u32) -> String {
    let passwd = fs::read(PASSWD).unwrap_or_default();
    name_in(&String::from_utf8_lossy(&passwd), uid).unwrap_or_else(|| format!("uid {uid}"))
}

/// The first name that a user id has in the text of passwd(5).
fn name_in(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let is_user = fields.nth(1)?.parse() == Ok(uid);
        is_user.then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_name_of_its_line() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\n\n# a comment\nbroken\n+::::::\n\
                      scimd:x:998:998::/var/lib/scimd:/usr/sbin/nologin\nalias:x:998:998::/:/bin/sh\n";
        assert_eq!(name_in(passwd, 0).as_deref(), Some("root"));
        assert_eq!(name_in(passwd, 998).as_deref(), Some("scimd"));
        assert_eq!(name_in(passwd, 1), None);
        assert_eq!(user_name(4_000_000_001), "uid 4000000001");
    }
}
