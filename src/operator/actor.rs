//! The operator as an actor: the Unix user that a command runs as.

use std::fs;

use crate::event::Actor;

/// Where the names of local users are.
const PASSWD: &str = "/etc/passwd";

/// The operator whose command came through the admin socket, from a process of the user `uid`.
pub fn over_socket(uid: u32) -> Actor {
    Actor::Operator { name: Some(user_name(uid)), uid: Some(uid) }
}

/// The operator whose command this process runs without a server. Its `uid` is not recorded: that tells
/// such a command from one that a server has executed.
pub fn offline() -> Actor {
    Actor::Operator { name: Some(user_name(rustix::process::geteuid().as_raw())), uid: None }
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
