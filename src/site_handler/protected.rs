//! Requests for what is protected by passwords.

use super::{SiteHandler, Users};
use crate::clock::Now;
use crate::http::fields::{FieldLines, Fields};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::passwords::{Access, user_of};
use crate::site::rules::CachePolicy;
use std::sync::Arc;

impl SiteHandler {
    /// The handler, with the users of what the sites protect.
    #[must_use]
    pub fn with_users(mut self, users: Users) -> Self {
        self.passwords = users;
        self
    }

    /// Replaces the users. The drivers watch one notifier only, so it stays.
    pub(super) fn set_users(&mut self, users: Users) {
        match &mut self.passwords {
            Some(passwords) => passwords.set_realms(users),
            None => self.passwords = users,
        }
    }

    /// Whether it is known that the request comes from a user, or that it does not.
    pub(super) fn knows_user(&mut self, request: &Request<'_>, now: Now) -> bool {
        let realm = self.sites.realm_of(request);
        match (&self.passwords, realm) {
            (Some(passwords), Some(realm)) => {
                passwords.is_ready(realm, authorization(request), now.instant)
            }
            _ => true,
        }
    }

    /// Answers a request if its password is right, or if it needs none.
    #[inline(never)]
    pub(super) fn respond_to_user(&mut self, request: &Request<'_>, now: Now) -> Response {
        let realm = self.sites.realm_of(request);
        let (Some(passwords), Some(realm)) = (&self.passwords, realm) else {
            self.user = None;
            return self.sites.respond(request, now);
        };
        let field = authorization(request);
        self.user = field.and_then(user_of);
        match passwords.access(realm, field, now.instant) {
            Access::Granted => {
                let mut response = self.sites.respond(request, now);
                keep_from_others(&mut response);
                response
            }
            Access::Denied => {
                let challenge = passwords.challenge(realm);
                self.sites.unauthorized(request, challenge, now)
            }
            Access::Busy => self.sites.busy(request, now),
        }
    }
}

fn authorization<'h>(request: &Request<'h>) -> Option<&'h [u8]> {
    request.fields.only("authorization")
}

/// Makes a response to a user one that only its own cache stores, unless the configuration says
/// more. A shared cache does not store the response to a request with Authorization anyway, unless
/// it says `public`, `s-maxage` or `must-revalidate` (RFC 9111 3.5).
fn keep_from_others(response: &mut Response) {
    let field = |lines: &FieldLines| {
        let fields = Fields::new(lines.as_bytes());
        let value = fields.all("cache-control").next();
        value.map(<[u8]>::to_vec)
    };
    match field(&response.shared_fields) {
        None if field(&response.headers).is_none() => {
            response.headers.push("Cache-Control", "private");
        }
        // What `auto` and `immutable` stand for is no wish of the configuration.
        Some(value) if value == CachePolicy::IMMUTABLE.as_bytes() => {
            let mut headers = FieldLines::clone(&response.shared_fields);
            headers.retain(|name| !name.eq_ignore_ascii_case(b"Cache-Control"));
            headers.push("Cache-Control", CachePolicy::IMMUTABLE_PRIVATE);
            response.shared_fields = Arc::new(headers);
        }
        _ => {}
    }
}
