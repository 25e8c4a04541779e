//! The realms of a configuration: each file of users once, whatever the number of paths and sites
//! that name it.

use crate::config::{Config, SiteConfig};
use crate::passwords::{Passwords, Realm};
use crate::site::Protected;
use crate::site_handler::Users;
use std::path::PathBuf;
use std::sync::Arc;

/// The files of users with the names of their realms. Sites number them in this order.
pub struct Realms(Vec<(PathBuf, String)>);

impl Realms {
    /// Those of all sites.
    pub fn of(config: &Config) -> Self {
        let mut realms = Vec::new();
        for protect in config.protect() {
            if let Some(file) = &protect.file {
                let realm = (file.clone(), protect.realm.clone());
                if !realms.contains(&realm) {
                    realms.push(realm);
                }
            }
        }
        Self(realms)
    }

    /// What is protected in a site.
    pub fn protected(&self, site: &SiteConfig) -> Vec<Protected> {
        let number = |file: &PathBuf, name: &String| {
            let mut realms = self.0.iter();
            let number = realms.position(|(known, realm)| known == file && realm == name);
            assert!(
                number.is_some(),
                "the realm of a site is not that of its server"
            );
            number
        };
        let protect = site.protect.iter();
        protect
            .map(|protect| Protected {
                name: protect.path.clone().into_bytes(),
                realm: (protect.file.as_ref()).and_then(|file| number(file, &protect.realm)),
            })
            .collect()
    }

    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read, a line is wrong, or the system gives no random numbers.
    pub fn read(&self) -> Result<Users, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let read = |(file, name): &(PathBuf, String)| Realm::read(file, name).map(Arc::new);
        let realms = self.0.iter().map(read).collect::<Result<_, _>>()?;
        let no_key = |error| format!("no passwords can be checked: {error}");
        Passwords::new(realms).map(Some).map_err(no_key)
    }
}
