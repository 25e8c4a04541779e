//! Passwords: the option of a site, and the keys of a `[[protect]]` in the configuration file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Parser, ValueHint};

use super::help_text::SITE;
use crate::listen::address::{Bind, Host};

/// The realm if none is named.
const REALM: &str = "restricted";

/// A path, and the users of what is at and below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protect {
    /// Beneath the root, without a slash at either end; empty: everything.
    pub path: String,
    /// The file of users; `None`: no password is needed.
    pub file: Option<PathBuf>,
    /// What clients show.
    pub realm: String,
}

/// The option of the command line, which is a key of a site, too.
#[derive(clap::Args, Clone, Debug)]
pub struct PasswordArguments {
    /// Serve only to users in this file
    ///
    /// A line is USER:HASH, as htpasswd -nB USER and mkpasswd -m sha-512 write it: bcrypt, Argon2
    /// or SHA-crypt. Browsers and curl -u send the password with every request (Basic
    /// authentication), in clear text without HTTPS. SIGHUP reads the file again. none overrides
    /// the environment.
    #[arg(
        long,
        value_name = "FILE",
        value_parser = OsStringValueParser::new().map(PasswordFile::from),
        env = "ONELOOP_PASSWORD_FILE",
        value_hint = ValueHint::FilePath,
        help_heading = SITE
    )]
    pub password_file: Option<PasswordFile>,
}

/// A `[[protect]]`. The comments are its part of docs/configuration.md.
#[derive(Debug, Parser)]
#[command(name = "protect", disable_help_flag = true)]
pub struct ProtectArguments {
    /// What is protected: everything at and below this path; one, or a list
    ///
    /// A path without wildcards, beneath the base path. The case of letters does not count. Of
    /// several that cover a request the longest one counts. A file is protected at every address
    /// that leads to it: index.html at its directory, too; if the directory has other users, it is
    /// a 404 for them there. Its compressed siblings are other files.
    #[arg(long)]
    pub path: Vec<ProtectedPath>,

    /// The file of users
    ///
    /// As --password-file. "none" needs no password there, although a path above is protected.
    #[arg(
        long,
        value_hint = ValueHint::FilePath,
        value_parser = OsStringValueParser::new().map(PasswordFile::from)
    )]
    pub password_file: Option<PasswordFile>,

    /// What clients show when they ask for a password
    ///
    /// "restricted" without this key. A browser sends the password of a realm to all its paths.
    #[arg(long)]
    pub realm: Option<Realm>,
}

/// A file of users; `none` is no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordFile(Option<PathBuf>);

impl From<OsString> for PasswordFile {
    fn from(text: OsString) -> Self {
        Self((text != "none").then(|| text.into()))
    }
}

/// The name of a realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm(String);

impl FromStr for Realm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_printable = |byte: u8| matches!(byte, b' '..=b'~');
        match !text.is_empty() && text.bytes().all(is_printable) {
            true => Ok(Self(text.to_owned())),
            false => Err("printable ASCII, such as \"members only\"".to_owned()),
        }
    }
}

/// A path without a slash at either end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedPath(String);

impl FromStr for ProtectedPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix('/').ok_or("a path such as /private")?;
        let name = name.strip_suffix('/').unwrap_or(name);
        let is_name = |segment: &str| {
            !["", ".", ".."].contains(&segment)
                && !segment.contains(|one: char| "%?#*\\".contains(one) || one.is_control())
        };
        if !name.is_empty() && !name.split('/').all(is_name) {
            return Err(
                "a path such as /private, of names and slashes, without wildcards and escapes"
                    .to_owned(),
            );
        }
        Ok(Self(name.to_owned()))
    }
}

/// What protects a site: its tables, and the file of its option.
pub fn protects(tables: &[ProtectTable], file: Option<&PasswordFile>) -> Vec<Protect> {
    let of_tables = tables.iter().flat_map(|table| {
        let protect = |path: &ProtectedPath| Protect {
            path: path.0.clone(),
            file: table.file.0.clone(),
            realm: table.realm.0.clone(),
        };
        table.paths.iter().map(protect)
    });
    let file = file.and_then(|file| file.0.clone());
    let everything = file.map(|file| Protect {
        path: String::new(),
        file: Some(file),
        realm: REALM.to_owned(),
    });
    everything.into_iter().chain(of_tables).collect()
}

/// Refuses a file of users beneath `root`, by its path or behind a link: its hashes could be
/// requested.
///
/// # Errors
/// A sentence that names the file.
pub fn check_place(file: &Path, root: &Path) -> Result<(), String> {
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let named = folder.canonicalize().ok();
    let named = named
        .zip(file.file_name())
        .map(|(folder, name)| folder.join(name));
    let mut places = named.into_iter().chain(file.canonicalize());
    let root = root.canonicalize();
    match root.is_ok_and(|root| places.any(|place| place.starts_with(&root))) {
        true => Err(format!(
            "{}: a file of users must not be beneath ROOT, where it is served",
            file.display()
        )),
        false => Ok(()),
    }
}

/// Warns of passwords that others on the network can read. A proxy speaks to a server on its own
/// machine, or on a network that its operator knows.
pub fn warning(plain: &[Bind]) -> Option<String> {
    let is_local = |bind: &&Bind| match bind {
        Bind::Tcp { host, .. } => match host {
            Host::Ip(ip) => ip.is_loopback(),
            Host::Name(name) => name == "localhost",
            Host::Zoned(..) => false,
        },
        Bind::Unix(_) | Bind::Inherited(_) => true,
    };
    let open = plain.iter().find(|bind| !is_local(bind))?;
    Some(format!(
        "passwords are sent in clear text to {open} (use HTTPS: --tls-cert, or a proxy that speaks \
         it)"
    ))
}

/// A `[[protect]]` that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectTable {
    paths: Vec<ProtectedPath>,
    file: PasswordFile,
    realm: Realm,
}

impl ProtectArguments {
    /// The table.
    ///
    /// # Errors
    /// A key is missing.
    pub fn into_table(self) -> Result<ProtectTable, String> {
        if self.path.is_empty() {
            return Err("path is missing: what is protected".to_owned());
        }
        let file = self.password_file;
        let file = file.ok_or("password-file is missing: the file of users, or \"none\"")?;
        Ok(ProtectTable {
            paths: self.path,
            file,
            realm: self.realm.unwrap_or(Realm(REALM.to_owned())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::bind::BindArgument;

    #[test]
    fn passwords_in_clear_text_on_a_network_are_warned_of() {
        for (address, warns) in [
            ("127.0.0.1", false),
            ("::1", false),
            ("localhost", false),
            ("unix:/run/a", false),
            ("0.0.0.0", true),
            ("::", true),
            ("192.0.2.1:80", true),
            ("example.org", true),
        ] {
            let bind = address.parse::<BindArgument>().unwrap().at(8080);
            assert_eq!(warning(&[bind]).is_some(), warns, "{address}");
        }
        assert_eq!(warning(&[]), None);
    }
}
