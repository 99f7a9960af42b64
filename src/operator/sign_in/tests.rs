use std::sync::Arc;

use super::*;
use crate::clock::Clock;
use crate::credential::{CodeKey, NONCE_BYTES, OperatorRole, SALT_BYTES};
use crate::directory::{AddOperator, LocalSettings, RemoveOperator, SetOperatorRole};
use crate::settings::SharedSettings;
use crate::store::folder::DataFolder;
use crate::store::local::{LocalStore, StoreLimits};

const PASSWORD: &str = "correct horse battery staple";
const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
/// The time of RFC 6238, appendix B, whose code for the secret below is 081804.
const NOW: i64 = 1_111_111_109;
const CODE: &str = "081804";

fn secret() -> CodeSecret {
    CodeSecret::from_random(*b"12345678901234567890")
}

/// A directory with the operator ada at a time.
struct World {
    directory: Directory,
    sign_ins: SignIns,
    _folder: tempfile::TempDir,
}

impl World {
    fn new(is_enrolled: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        let limits = StoreLimits { cache_mib: 8, memory_mib: 16, min_free_mib: 0 };
        let now = jiff::Timestamp::from_second(NOW).unwrap();
        let store = Arc::new(LocalStore::open(data, limits, [7; 16], now).unwrap());
        let local = LocalSettings {
            brakes: Arc::default(),
            may_grant: Arc::default(),
            clock: Clock::Fixed(now),
            max_resource_bytes: 65_536,
            max_scan: 1_000,
            max_search_time: Duration::from_secs(60),
            reads_latest: false,
        };
        let shared = SharedSettings::default();
        let directory = Directory::open_as_saved(store.log(), store.clone(), &shared, local);
        let directory = directory.unwrap();
        directory.load_code_key_with(Box::new(|| Ok(CodeKey::new(&[1; 32]).unwrap())));
        let world = Self { directory, sign_ins: SignIns::default(), _folder: folder };
        let key = world.directory.code_key().unwrap();
        let sealed = || key.seal("ada", &secret(), [1; NONCE_BYTES]).unwrap();
        let password = PasswordHash::of(&Password::new(PASSWORD), &[1; SALT_BYTES]).unwrap();
        let add = AddOperator {
            name: "ada".to_owned(),
            role: OperatorRole::Operator,
            password: Some(password),
            code: is_enrolled.then(sealed),
        };
        world.directory.submit(Actor::System, add).wait().unwrap();
        world
    }

    fn sign_in(&self, name: &str, password: &str, code: &str) -> Result<String, SignInRefusal> {
        let attempt = SignInAttempt { name, password, code, address: HOME };
        self.sign_ins.sign_in(&self.directory, &attempt).map(|account| account.name)
    }
}

#[test]
fn the_right_password_and_code_sign_in_in_any_letter_case_of_the_name() {
    let world = World::new(true);
    assert_eq!(world.sign_in("Ada", PASSWORD, CODE).unwrap(), "ada");
    let account = world.directory.operator("ada").unwrap();
    assert_eq!(account.last_step, Some(NOW / 30));
    assert!(account.last_sign_in.is_some());
}

#[test]
fn whatever_is_wrong_gets_the_same_answer() {
    let world = World::new(true);
    let long = "x".repeat(MAX_PASSWORD + 1);
    let wrong = [
        ("ada", "correct horse battery stapl", CODE),
        ("ada", PASSWORD, "081805"),
        ("ada", PASSWORD, ""),
        ("ada", "", CODE),
        ("bob", PASSWORD, CODE),
        ("", "", ""),
        ("ada", long.as_str(), CODE),
        (long.as_str(), PASSWORD, CODE),
    ];
    for (name, password, code) in wrong {
        let refused = world.sign_in(name, password, code).unwrap_err();
        assert!(matches!(refused, SignInRefusal::Wrong), "{name} {code}: {refused}");
    }
    assert_eq!(world.sign_in("ada", PASSWORD, CODE).unwrap(), "ada", "no code was used up");
}

#[test]
fn a_code_is_accepted_once_and_no_earlier_one_after_it() {
    let world = World::new(true);
    world.sign_in("ada", PASSWORD, CODE).unwrap();
    let again = world.sign_in("ada", PASSWORD, CODE).unwrap_err();
    assert!(matches!(again, SignInRefusal::UsedCode), "{again}");
    let account = world.directory.operator("ada").unwrap();
    for (step, is_taken) in [(NOW / 30 - 1, false), (NOW / 30, false), (NOW / 30 + 1, true)] {
        let record = RecordSignIn { account: account.clone(), step, address: HOME };
        let done = world.directory.submit(Actor::System, record).wait();
        assert_eq!(done.is_ok(), is_taken, "{step}");
    }
}

#[test]
fn two_attempts_with_one_code_at_once_sign_in_once() {
    let world = World::new(true);
    let done: Vec<bool> = std::thread::scope(|scope| {
        let attempts: Vec<_> =
            (0..4).map(|_| scope.spawn(|| world.sign_in("ada", PASSWORD, CODE).is_ok())).collect();
        attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect()
    });
    assert_eq!(done.iter().filter(|done| **done).count(), 1);
}

#[test]
fn an_operator_without_a_code_is_sent_to_a_link_once_the_password_is_right() {
    let world = World::new(false);
    let refused = world.sign_in("ada", PASSWORD, "000000").unwrap_err();
    assert!(refused.to_string().contains("scimd console link --operator ada"), "{refused}");
    let refused = world.sign_in("ada", "wrong password", "000000").unwrap_err();
    assert!(matches!(refused, SignInRefusal::Wrong), "{refused}");
}

#[test]
fn a_code_that_another_key_has_encrypted_is_not_taken() {
    let world = World::new(true);
    let other = CodeKey::new(&[2; 32]).unwrap();
    let sealed = other.seal("ada", &secret(), [1; NONCE_BYTES]).unwrap();
    let set = crate::directory::SetOperatorCredentials {
        name: "ada".to_owned(),
        password: None,
        code: Some((sealed, 0)),
    };
    world.directory.submit(Actor::System, set).wait().unwrap();
    let refused = world.sign_in("ada", PASSWORD, CODE).unwrap_err();
    assert!(refused.to_string().contains("its key was lost"), "{refused}");
}

#[test]
fn the_eleventh_failure_of_a_name_is_held_up_and_successes_are_not_counted() {
    let world = World::new(true);
    for _ in 0..10 {
        let refused = world.sign_in("ada", "wrong password", CODE).unwrap_err();
        assert!(matches!(refused, SignInRefusal::Wrong), "{refused}");
    }
    let refused = world.sign_in("ada", PASSWORD, CODE).unwrap_err();
    assert!(matches!(refused, SignInRefusal::TooMany(_)), "{refused}");
    let unknown = world.sign_in("bob", "wrong password", CODE).unwrap_err();
    assert!(matches!(unknown, SignInRefusal::Wrong), "{unknown}");
}

#[test]
fn a_change_of_role_or_a_removal_ends_sessions_and_a_name_that_comes_back_is_another_operator() {
    let world = World::new(true);
    let epoch = || world.directory.operator("ada").map(|account| account.epoch);
    let first = epoch().unwrap();
    let set = |role| SetOperatorRole { name: "ada".to_owned(), role };
    world.directory.submit(Actor::System, set(OperatorRole::Operator)).wait().unwrap();
    assert_eq!(epoch().as_ref(), Some(&first), "nothing has changed");
    world.directory.submit(Actor::System, set(OperatorRole::Viewer)).wait().unwrap();
    let second = epoch().unwrap();
    assert_ne!(first, second);
    let account = world.directory.operator("ada").unwrap();
    let remove = RemoveOperator { name: "ada".to_owned() };
    world.directory.submit(Actor::System, remove).wait().unwrap();
    assert_eq!(epoch(), None);
    let (name, role) = ("ada".to_owned(), OperatorRole::Viewer);
    let add = AddOperator { name, role, password: None, code: None };
    world.directory.submit(Actor::System, add).wait().unwrap();
    assert_ne!(epoch().unwrap(), second);
    let late = RecordSignIn { account, step: i64::MAX, address: HOME };
    assert!(world.directory.submit(Actor::System, late).wait().is_err(), "of the former one");
}

#[test]
fn a_secret_counts_once_a_code_of_it_confirms_it() {
    let world = World::new(false);
    let confirm = |code| world.sign_ins.confirm(&world.directory, "ada", code);
    assert!(confirm(CODE).is_err(), "nothing was begun");
    world.sign_ins.begin_enrolment("ada", secret());
    assert!(confirm("081805").unwrap().is_none());
    let (sealed, step) = confirm(CODE).unwrap().unwrap();
    assert_eq!(step, NOW / 30);
    assert!(world.directory.code_key().unwrap().open("ada", &sealed).is_some());
    world.sign_ins.end_enrolment("ada");
    assert!(confirm(CODE).is_err());
}

#[test]
fn a_password_is_checked_before_it_is_hashed() {
    let sign_ins = SignIns::default();
    assert!(sign_ins.hash("ada", "too short").unwrap_err().contains("12 characters"));
    let hash = sign_ins.hash("ada", PASSWORD).unwrap();
    assert!(hash.fits(&Password::new(PASSWORD)));
}
