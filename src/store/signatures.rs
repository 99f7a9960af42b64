//! Signed heads of the log, one on a line of a file in the data folder.
//!
//! ```text
//! line    = SEQUENCE:HASH TIME SIGNATURE                       the signature in base64
//! message = "scimd head 1" LF SEQUENCE:HASH LF TIME LF         what is signed
//! ```
//!
//! The hash covers all changes before it: a signature proves them all.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use jiff::Timestamp;

use super::StoreError;
use super::signing::{Signature, SigningKey, VerifyingKey};
use super::sync::sync_folder;
use crate::clock::rfc3339;
use crate::log::Position;

const FILE: &str = "signatures";

/// A head of the log, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// The head.
    pub position: Position,
    /// When it was signed.
    pub time: Timestamp,
    signature: Signature,
}

impl SignedHead {
    /// Reads a line; `None` if it is not as it is written.
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(' ');
        let (position, time) = (Position::parse(parts.next()?)?, parts.next()?.parse().ok()?);
        let signature = BASE64.decode(parts.next()?.as_bytes()).ok()?.try_into().ok()?;
        let signed = Self { position, time, signature };
        (signed.to_string() == line).then_some(signed)
    }

    fn message(position: Position, time: Timestamp) -> String {
        format!("scimd head 1\n{position}\n{}\n", rfc3339(time))
    }
}

impl fmt::Display for SignedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signature = BASE64.encode(&self.signature);
        write!(f, "{} {} {signature}", self.position, rfc3339(self.time))
    }
}

/// Signs heads of the log of a data folder.
pub struct HeadSigner {
    key: SigningKey,
    path: PathBuf,
    /// The head that was signed last.
    last: Option<Position>,
}

impl HeadSigner {
    /// Begins with the key of the data folder; makes one if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the key can't be used or made.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        Ok(Self { key: SigningKey::ensure(data)?, path: data.join(FILE), last: None })
    }

    /// Signs a head, durably, unless it is the one before the first change or was signed last.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; earlier signatures are as they were.
    pub fn sign(&mut self, position: Position, time: Timestamp) -> Result<(), StoreError> {
        if position.sequence == 0 || self.last == Some(position) {
            return Ok(());
        }
        let signature = self.key.sign(&SignedHead::message(position, time))?;
        let is_new = !self.path.exists();
        let failed = || StoreError::file("write", &self.path);
        let mut options = File::options();
        let file = options.read(true).append(true).create(true).mode(0o600).open(&self.path);
        let mut file = file.map_err(failed())?;
        cut_torn(&mut file).map_err(failed())?;
        let line = format!("{}\n", SignedHead { position, time, signature });
        file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(failed())?;
        if let (true, Some(folder)) = (is_new, self.path.parent()) {
            sync_folder(folder)?;
        }
        self.last = Some(position);
        Ok(())
    }
}

/// Cuts off a last line that a crash has left without its end.
fn cut_torn(file: &mut File) -> io::Result<()> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    if end < bytes.len() { file.set_len(end as u64) } else { Ok(()) }
}

/// What a check of the signatures found.
#[derive(Debug, Default)]
pub struct SignatureReport {
    /// The number of signatures.
    pub count: u64,
    /// The newest head with a valid signature.
    pub newest: Option<SignedHead>,
    /// What is wrong, each a sentence, in the order of the file.
    pub faults: Vec<String>,
}

/// Checks every signature in a data folder. Whether the log passes through their heads is for its chain to
/// say.
///
/// # Errors
///
/// [`StoreError::File`] if they can't be read.
pub fn check(data: &Path, key: &VerifyingKey) -> Result<SignatureReport, StoreError> {
    let path = data.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(SignatureReport::default());
        }
        Err(error) => return Err(StoreError::file("read", &path)(error)),
    };
    let mut report = SignatureReport::default();
    let mut reached = 0;
    // A crash may cut the last line short; the next signature takes its place.
    let whole = text.rfind('\n').map_or("", |end| text.get(..=end).unwrap_or_default());
    for (number, line) in (1..).zip(whole.lines()) {
        let Some(signed) = SignedHead::parse(line) else {
            report.faults.push(format!("{}, line {number}: not a signature", path.display()));
            continue;
        };
        report.count += 1;
        let SignedHead { position, time, signature } = &signed;
        if !key.verifies(&SignedHead::message(*position, *time), signature) {
            report.faults.push(format!(
                "{}, line {number}: the signature of change {} was not made with this key",
                path.display(),
                position.sequence
            ));
        } else if position.sequence < reached {
            report.faults.push(format!(
                "{}, line {number}: change {} is signed after change {reached}",
                path.display(),
                position.sequence
            ));
        } else {
            reached = position.sequence;
            report.newest = Some(signed);
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(sequence: u64) -> Position {
        Position { sequence, hash: [sequence as u8; 32] }
    }

    /// A data folder with the signatures of changes 3 and 7.
    fn signed() -> (tempfile::TempDir, VerifyingKey) {
        let folder = tempfile::tempdir().unwrap();
        let mut signer = HeadSigner::open(folder.path()).unwrap();
        for sequence in [0, 3, 3, 7] {
            signer.sign(position(sequence), Timestamp::UNIX_EPOCH).unwrap();
        }
        let key = VerifyingKey::read(&folder.path().join("signing.pub")).unwrap();
        (folder, key)
    }

    #[test]
    fn heads_are_signed_once_and_verified_by_the_public_key_alone() {
        let (folder, key) = signed();
        fs::remove_file(folder.path().join("signing.key")).unwrap();
        let report = check(folder.path(), &key).unwrap();
        assert_eq!((report.count, report.faults), (2, Vec::<String>::new()));
        assert_eq!(report.newest.unwrap().position, position(7));
        let other = SigningKey::ensure(tempfile::tempdir().unwrap().path()).unwrap().public();
        assert_eq!(check(folder.path(), &other).unwrap().faults.len(), 2);
    }

    #[test]
    fn every_altered_character_is_a_fault() {
        let (folder, key) = signed();
        let path = folder.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        // Without the last line feed the line counts as cut short.
        for at in 0..whole.len() - 1 {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            fs::write(&path, &altered).unwrap();
            let faults = check(folder.path(), &key).map(|report| report.faults.len());
            assert_ne!(faults.unwrap_or(1), 0, "{}", String::from_utf8_lossy(&altered));
        }
    }

    #[test]
    fn the_public_key_follows_another_private_key() {
        let (folder, key) = signed();
        let (private, public) =
            (folder.path().join("signing.key"), folder.path().join("signing.pub"));
        fs::write(folder.path().join("signing.key.unfinished"), "cut").unwrap();
        fs::remove_file(&private).unwrap();
        HeadSigner::open(folder.path()).unwrap().sign(position(9), Timestamp::UNIX_EPOCH).unwrap();
        let now = VerifyingKey::read(&public).unwrap();
        let newest = |key| check(folder.path(), key).unwrap().newest.unwrap().position;
        assert_eq!((newest(&now), newest(&key)), (position(9), position(7)));
    }

    #[test]
    fn a_line_that_a_crash_has_cut_short_harms_no_later_one() {
        let (folder, key) = signed();
        let path = folder.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 30]).unwrap();
        let mut signer = HeadSigner::open(folder.path()).unwrap();
        signer.sign(position(9), Timestamp::UNIX_EPOCH).unwrap();
        let report = check(folder.path(), &key).unwrap();
        assert_eq!((report.count, report.newest.unwrap().position), (2, position(9)));
    }
}
