//! A realm: a file of users with the hashes of their passwords, and the name that clients show.

use super::credentials::Credentials;
use super::hash::Hash;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest file, in bytes.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// What makes a line that is accepted.
const ADVICE: &str = "make the line with: htpasswd -nB USER, or mkpasswd -m sha-512 after USER:";

/// The users of what is protected.
pub struct Realm {
    /// Never that of another realm, nor of the same file when it was read earlier.
    id: u64,
    challenge: String,
    users: HashMap<Vec<u8>, Hash>,
    /// What the password of an unknown user is compared with, so that it takes as long.
    decoy: Hash,
}

impl Realm {
    /// Reads the users from the file at `path`. Clients show `name`, which is printable ASCII.
    ///
    /// # Errors
    /// The file cannot be read, has no user, or a line is wrong; with the number of the line.
    pub fn read(path: &Path, name: &str) -> Result<Self, String> {
        let content = read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&content, name).map_err(|(line, error)| match line {
            0 => format!("{}: {error}", path.display()),
            line => format!("{}:{line}: {error}", path.display()),
        })
    }

    /// The error has the number of the line, from 1; 0 for the whole file.
    fn parse(content: &[u8], name: &str) -> Result<Self, (usize, String)> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let mut users = HashMap::new();
        let mut decoy = None;
        for (line, number) in content.split(|&byte| byte == b'\n').zip(1..) {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let (user, hash) = entry(line).map_err(|error| (number, error))?;
            decoy = decoy.or_else(|| Some(hash.clone()));
            if users.insert(user.to_vec(), hash).is_some() {
                return Err((number, "the user has a line above already".to_owned()));
            }
        }
        let name = name.replace('\\', "\\\\").replace('"', "\\\"");
        Ok(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            challenge: format!("Basic realm=\"{name}\", charset=\"UTF-8\""),
            users,
            decoy: decoy.ok_or((0, "the file has no user".to_owned()))?,
        })
    }

    /// Tells it from others.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The value of WWW-Authenticate.
    pub(super) fn challenge(&self) -> &str {
        &self.challenge
    }

    /// Whether there is this user with this password. Takes as long for a user that does not exist.
    pub(super) fn accepts(&self, credentials: &Credentials) -> bool {
        let known = self.users.get(&credentials.user);
        let is_equal = known.unwrap_or(&self.decoy).is_of(&credentials.password);
        known.is_some() && is_equal
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // To open a FIFO would wait for its writer, and with it all connections.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut content = Vec::new();
    let mut file = File::open(path)?.take(MAX_SIZE + 1);
    match file.read_to_end(&mut content)? as u64 > MAX_SIZE {
        true => Err(io::Error::other(format!("longer than {MAX_SIZE} bytes"))),
        false => Ok(content),
    }
}

/// What some editors write at the beginning of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The user and the hash of a line.
fn entry(line: &[u8]) -> Result<(&[u8], Hash), String> {
    let colon = line.iter().position(|&byte| byte == b':');
    let colon = colon.ok_or_else(|| format!("no colon after the user; {ADVICE}"))?;
    let (user, hash) = line.split_at(colon);
    if user.is_empty() || user.iter().any(u8::is_ascii_control) {
        return Err("the user is empty, or has a control character".to_owned());
    }
    if user.trim_ascii_end().len() < user.len() || user.starts_with(BYTE_ORDER_MARK) {
        return Err("the user has a blank before the colon, or a byte order mark".to_owned());
    }
    let hash = hash.strip_prefix(b":").unwrap_or(hash);
    let hash = str::from_utf8(hash).unwrap_or_default();
    let hash = Hash::parse(hash).map_err(|error| format!("{error}; {ADVICE}"))?;
    Ok((user, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$04$NjSIBBmD9Y1RcWW.MSWCtOMuB.QNmeyZYcPC4hywr09h8dN2jlW96";

    fn accepts(realm: &Realm, user: &str, password: &str) -> bool {
        realm.accepts(&Credentials {
            user: user.into(),
            password: password.into(),
        })
    }

    #[test]
    fn a_fifo_is_refused_and_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
        let error = Realm::read(&path, "a").map(drop).unwrap_err();
        assert_eq!(error, format!("{}: not a regular file", path.display()));
    }

    #[test]
    fn a_user_that_no_client_can_send_is_an_error() {
        for user in ["alice ", "\u{feff}alice", ""] {
            let text = format!("{user}:{HASH}");
            let error = Realm::parse(text.as_bytes(), "a").map(drop);
            assert_eq!(error.unwrap_err().0, 1, "{user:?}");
        }
    }

    #[test]
    fn a_file_has_a_user_in_each_line_but_for_empty_ones_and_comments() {
        let text = format!("# us\r\n\r\nalice:{HASH}\r\n\nbob b:{HASH}");
        let realm = Realm::parse(text.as_bytes(), "a \"b\" \\").unwrap();
        assert_eq!(
            realm.challenge(),
            "Basic realm=\"a \\\"b\\\" \\\\\", charset=\"UTF-8\""
        );
        for (user, password, expected) in [
            ("alice", "password", true),
            ("bob b", "password", true),
            ("alice", "", false),
            ("Alice", "password", false),
            ("# us", "password", false),
            ("", "password", false),
        ] {
            assert_eq!(accepts(&realm, user, password), expected, "{user}");
        }
    }

    /// The decoy is compared: its password opens nothing.
    #[test]
    fn an_unknown_user_is_refused_with_every_password() {
        let realm = Realm::parse(format!("alice:{HASH}").as_bytes(), "a").unwrap();
        assert!(realm.decoy.is_of(b"password"));
        assert!(!accepts(&realm, "eve", "password"));
    }

    #[test]
    fn an_error_names_the_line_and_how_to_make_a_good_one() {
        let error = |text: &str| Realm::parse(text.as_bytes(), "a").err().unwrap();
        let wrong = |what: &str| format!("{what}; {ADVICE}");
        for (text, line, expected) in [
            ("", 0, "the file has no user".to_owned()),
            ("#a:b\n", 0, "the file has no user".to_owned()),
            ("\nalice", 2, wrong("no colon after the user")),
            (
                "a:secret",
                1,
                wrong("this is no hash, or one of an unknown kind"),
            ),
            (
                "a:\u{e9}",
                1,
                wrong("this is no hash, or one of an unknown kind"),
            ),
            (
                &format!(":{HASH}"),
                1,
                "the user is empty, or has a control character".to_owned(),
            ),
            (
                &format!("a:{HASH}\na:{HASH}"),
                2,
                "the user has a line above already".to_owned(),
            ),
        ] {
            assert_eq!(error(text), (line, expected), "{text:?}");
        }
    }
}
