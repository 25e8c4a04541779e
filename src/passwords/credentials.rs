//! The credentials in the field Authorization (RFC 7617 2).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The longest password, in bytes. SHA-crypt takes time that grows with the square of the length.
const MAX_PASSWORD: usize = 256;

/// A user and a password, as a client has sent them. Without Debug: the password is never printed.
pub struct Credentials {
    pub user: Vec<u8>,
    pub password: Vec<u8>,
}

impl Credentials {
    /// Those in the value of the field. `None`: there are none, or they are too long.
    pub fn parse(field: &[u8]) -> Option<Self> {
        let (scheme, token) = field.split_at_checked(b"Basic ".len())?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return None;
        }
        let pair = BASE64_STANDARD.decode(token.trim_ascii()).ok()?;
        let colon = pair.iter().position(|&byte| byte == b':')?;
        let (user, password) = pair.split_at(colon);
        let (_, password) = password.split_at(1);
        (password.len() <= MAX_PASSWORD).then(|| Self {
            user: user.to_vec(),
            password: password.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(field: &str) -> Option<(String, String)> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Credentials::parse(field.as_bytes())
            .map(|credentials| (text(credentials.user), text(credentials.password)))
    }

    #[test]
    fn the_first_colon_ends_the_user_and_the_scheme_has_no_case() {
        // The examples of RFC 7617 2 and 2.1.
        for (field, user, password) in [
            (
                "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
                "Aladdin",
                "open sesame",
            ),
            ("bASIC  dGVzdDoxMjPCow== ", "test", "123£"),
            ("Basic YTpiOmM=", "a", "b:c"),
            ("Basic Og==", "", ""),
        ] {
            let expected = (user.to_owned(), password.to_owned());
            assert_eq!(parse(field), Some(expected), "{field}");
        }
    }

    #[test]
    fn what_is_no_pair_in_base64_is_no_credentials() {
        let long = BASE64_STANDARD.encode("a:".to_owned() + &"b".repeat(MAX_PASSWORD + 1));
        for field in [
            "",
            "Basic",
            "Basic ",
            "Basic YQ==",
            "Basic YTpi=",
            "Basic YTpi YTpi",
            "Bearer YTpi",
            "Basic\tYTpi",
            &format!("Basic {long}"),
        ] {
            assert_eq!(parse(field), None, "{field}");
        }
    }
}
