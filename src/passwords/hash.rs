//! Hashes of passwords, as htpasswd(1) and mkpasswd(1) write them.

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};
use bcrypt::HashParts;
use sha_crypt::ShaCrypt;

/// The most that one check may cost: about two seconds of a processor, and 1 GiB of memory.
const MAX_BCRYPT_COST: u32 = 15;
const MAX_SHA_ROUNDS: u32 = 5_000_000;
const MAX_ARGON2_KIB: u32 = 1024 * 1024;
/// Memory times passes.
const MAX_ARGON2_WORK: u64 = 4 * 1024 * 1024;

/// A hash that is known to be well-formed.
#[derive(Clone)]
pub struct Hash {
    kind: Kind,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bcrypt,
    Argon2,
    ShaCrypt,
}

impl Hash {
    /// Reads a hash.
    ///
    /// # Errors
    /// What is wrong with it, without the text itself: it may be a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let kind = match text.split('$').nth(1) {
            Some("2a" | "2b" | "2y") => check_bcrypt(text).map(|()| Kind::Bcrypt),
            Some("argon2id" | "argon2i" | "argon2d") => check_argon2(text).map(|()| Kind::Argon2),
            Some("5" | "6") => check_sha_crypt(text).map(|()| Kind::ShaCrypt),
            Some("apr1" | "1") => Err("MD5 is too weak".to_owned()),
            Some("y" | "gy" | "7") => Err("yescrypt and scrypt are not supported".to_owned()),
            _ if text.starts_with("{SHA}") => Err("SHA-1 without a salt is too weak".to_owned()),
            _ if is_des(text) => Err("crypt(3) with DES is too weak".to_owned()),
            _ => Err("this is no hash, or one of an unknown kind".to_owned()),
        }?;
        let text = text.to_owned();
        Ok(Self { kind, text })
    }

    /// Whether it is that of `password`. All comparisons take the same time for any two values.
    pub fn is_of(&self, password: &[u8]) -> bool {
        match self.kind {
            Kind::Bcrypt => bcrypt::verify(password, &self.text).is_ok_and(|is_equal| is_equal),
            Kind::Argon2 => Argon2::default()
                .verify_password(password, self.text.as_str())
                .is_ok(),
            Kind::ShaCrypt => ShaCrypt::default()
                .verify_password(password, self.text.as_str())
                .is_ok(),
        }
    }
}

fn malformed() -> String {
    "the hash is incomplete or has a wrong character".to_owned()
}

fn too_costly(what: &str) -> String {
    format!("the hash costs too much to check: {what}")
}

/// The alphabet of crypt(3).
fn is_crypt_text(text: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"./".contains(&byte);
    text.bytes().all(is_known)
}

fn is_des(text: &str) -> bool {
    text.len() == 13 && is_crypt_text(text)
}

fn check_bcrypt(text: &str) -> Result<(), String> {
    let parts: HashParts = text.parse().map_err(|_| malformed())?;
    let last = text.rsplit('$').next().unwrap_or_default();
    match parts.get_cost() {
        _ if last.len() != 53 || !is_crypt_text(last) => Err(malformed()),
        4..=MAX_BCRYPT_COST => Ok(()),
        cost => Err(too_costly(&format!(
            "bcrypt {cost}, at most {MAX_BCRYPT_COST}"
        ))),
    }
}

fn check_argon2(text: &str) -> Result<(), String> {
    let hash = PasswordHash::new(text).map_err(|_| malformed())?;
    let params = Params::try_from(&hash).map_err(|_| malformed())?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(malformed());
    }
    let (memory, passes) = (params.m_cost(), params.t_cost());
    match u64::from(memory) * u64::from(passes) {
        work if memory > MAX_ARGON2_KIB || work > MAX_ARGON2_WORK => Err(too_costly(&format!(
            "m={memory},t={passes}; at most m={MAX_ARGON2_KIB}, and m times t {MAX_ARGON2_WORK}"
        ))),
        _ => Ok(()),
    }
}

fn check_sha_crypt(text: &str) -> Result<(), String> {
    let mut fields = text.split('$').skip(1);
    let length = match fields.next() {
        Some("5") => 43,
        _ => 86,
    };
    let mut salt = fields.next().ok_or_else(malformed)?;
    if let Some(rounds) = salt.strip_prefix("rounds=") {
        let rounds: u32 = rounds.parse().map_err(|_| malformed())?;
        if rounds > MAX_SHA_ROUNDS {
            let what = format!("{rounds} rounds, at most {MAX_SHA_ROUNDS}");
            return Err(too_costly(&what));
        }
        sha_crypt::Params::new(rounds).map_err(|_| malformed())?;
        salt = fields.next().ok_or_else(malformed)?;
    }
    let hash = fields.next().ok_or_else(malformed)?;
    let is_whole = fields.next().is_none() && hash.len() == length && is_crypt_text(hash);
    let has_salt = (1..=16).contains(&salt.len()) && is_crypt_text(salt);
    (is_whole && has_salt).then_some(()).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes of `password`, made by htpasswd -B, mkpasswd and argon2.
    const HASHES: [&str; 8] = [
        "$2y$04$NjSIBBmD9Y1RcWW.MSWCtOMuB.QNmeyZYcPC4hywr09h8dN2jlW96",
        "$2b$05$GnHogpWLszzy9ALAzf45VOvg0zEmAqMdYeSjnCoZ/YgiUKRkkkQPy",
        "$2a$04$UuTkLRZZ6QofpDOlMz32MuuxEHA43WOemOYHPz6.SjsVsyO1tDU96",
        "$argon2i$v=19$m=16,t=1,p=1$c29tZXNhbHQ$OKnwz8SpoOe9QGp9D0LXXg",
        "$argon2d$v=19$m=16,t=1,p=1$c29tZXNhbHQ$wQtPCz+9qLlrV2ho+tSuqQ",
        "$argon2id$v=19$m=16,t=1,p=1$c29tZXNhbHQ$gKBWEL8fuopuvBQgKm6fNQ",
        "$6$rounds=1000$saltsalt$Z/J9iYO1iE9xnr8JPQL57ZWsVRtVjrUv3CiWc/wKWseqXgSqn3HFYJ/\
         Ng7YXa8XlLj.wpdAwHOJJzuGFqBBRa0",
        "$5$rounds=1000$saltsalt$azOwbpkvuuBKkE82dQPwTsQE8JyT9Fflpr9aKid3aT9",
    ];

    #[test]
    fn each_kind_accepts_its_password_and_no_other() {
        for text in HASHES {
            let hash = Hash::parse(text).unwrap();
            assert!(hash.is_of(b"password"), "{text}");
            for other in ["", "passwor", "password ", "Password"] {
                assert!(!hash.is_of(other.as_bytes()), "{text} {other:?}");
            }
        }
    }

    #[test]
    fn a_hash_that_lacks_a_byte_or_has_one_more_is_malformed() {
        // Argon2 has outputs of any length.
        for text in HASHES.iter().filter(|text| !text.contains("argon2")) {
            for wrong in [
                &text[..text.len() - 1],
                &format!("{text}a"),
                &text.replace("$", "$$"),
            ] {
                assert!(Hash::parse(wrong).is_err(), "{wrong}");
            }
        }
    }

    #[test]
    fn weak_unknown_and_costly_hashes_are_refused_without_their_text() {
        for (text, expected) in [
            ("$apr1$p5ECFoFL$PveRVc4PagTs4bvqdY4rh0", "MD5 is too weak"),
            ("rXaSPx9pu6M0k", "crypt(3) with DES is too weak"),
            (
                "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
                "SHA-1 without a salt is too weak",
            ),
            (
                "$y$j9T$9Uib5PXmKbLU3G.a76lU30$hzPo",
                "yescrypt and scrypt are not supported",
            ),
            ("password", "this is no hash, or one of an unknown kind"),
            ("", "this is no hash, or one of an unknown kind"),
            (
                "$2y$16$NjSIBBmD9Y1RcWW.MSWCtOMuB.QNmeyZYcPC4hywr09h8dN2jlW96",
                "the hash costs too much to check: bcrypt 16, at most 15",
            ),
            (
                "$6$rounds=5000001$saltsalt$",
                "the hash costs too much to check: 5000001 rounds, at most 5000000",
            ),
            (
                "$argon2id$v=19$m=2097152,t=1,p=1$c29tZXNhbHQ$gKBWEL8fuopuvBQgKm6fNQ",
                "the hash costs too much to check: m=2097152,t=1; at most m=1048576, and m times t \
                 4194304",
            ),
            (
                "$6$rounds=999$saltsalt$",
                "the hash is incomplete or has a wrong character",
            ),
        ] {
            let error = Hash::parse(text).err();
            assert_eq!(error.as_deref(), Some(expected), "{text}");
        }
    }
}
