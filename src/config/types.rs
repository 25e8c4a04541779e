//! The values of `--type` and `--charset`.

use std::str::FromStr;

use crate::http::fields::is_token_byte;

/// The value of one `--type`, or of its variable: extensions and their types, separated by commas
/// or line ends. `none` is no type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeRules(pub Vec<(String, String)>);

impl FromStr for TypeRules {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let rules = text.split([',', '\n']).map(str::trim);
        let rules = rules.filter(|rule| !rule.is_empty()).map(type_rule);
        match rules.collect::<Result<Vec<_>, _>>()? {
            rules if rules.is_empty() => type_rule("").map(|rule| Self(vec![rule])),
            rules => Ok(Self(rules)),
        }
    }
}

/// The charset of text (RFC 9110 8.3.2): a token, or `none` for no charset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charset(pub Option<String>);

impl FromStr for Charset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || !text.bytes().all(is_token_byte) {
            return Err("the name of an encoding, such as windows-1252, or none".to_owned());
        }
        Ok(Self((text != "none").then(|| text.to_owned())))
    }
}

/// `EXT=TYPE`: an extension, without its dot, and a media type (RFC 9110 8.3.1).
fn type_rule(text: &str) -> Result<(String, String), String> {
    let (extension, media_type) = text.split_once('=').ok_or_else(|| {
        format!("{text:?} has no equals sign: write EXT=TYPE, such as md=text/plain")
    })?;
    let extension = extension.trim().trim_start_matches('.');
    if extension.is_empty() || extension.contains(|c: char| c == '/' || c.is_control()) {
        return Err(format!(
            "{text:?} does not begin with an extension: write EXT=TYPE, such as md=text/plain"
        ));
    }
    Ok((extension.to_owned(), self::media_type(media_type)?))
}

/// A media type (RFC 9110 8.3.1), with one form of white space.
pub fn media_type(text: &str) -> Result<String, String> {
    let mut parts = text.split(';').map(str::trim);
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
    let (kind, subtype) = parts
        .next()
        .and_then(|name| name.split_once('/'))
        .unwrap_or_default();
    if !is_token(kind) || !is_token(subtype) {
        return Err(format!(
            "{:?} is not a media type: write TYPE/SUBTYPE, such as text/plain",
            text.trim()
        ));
    }
    let mut media_type = format!("{kind}/{subtype}");
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        let quoted = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        let is_value = match quoted {
            Some(inside) => !inside.contains(|c: char| c == '"' || c == '\\' || c.is_control()),
            None => is_token(value),
        };
        if !is_token(name) || !is_value {
            return Err(format!(
                "{parameter:?} is not a parameter of a media type: write NAME=VALUE, such as \
                 charset=utf-8"
            ));
        }
        media_type += &format!("; {name}={value}");
    }
    Ok(media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_an_extension_and_a_media_type() {
        let table = [
            ("ts=text/javascript", "ts", "text/javascript"),
            (
                ".TAR.gz = application/x-gtar",
                "TAR.gz",
                "application/x-gtar",
            ),
            ("x=a/b;c=d ; e=\"f g\"", "x", "a/b; c=d; e=\"f g\""),
            ("LICENSE=text/plain", "LICENSE", "text/plain"),
        ];
        for (text, extension, media_type) in table {
            let rules = text.parse::<TypeRules>().unwrap();
            let rule = (extension.to_owned(), media_type.to_owned());
            assert_eq!(rules.0, [rule]);
        }
        let several = "a=b/c,d=e/f\n\n g=h/i\r\n".parse::<TypeRules>().unwrap();
        let extensions: Vec<_> = several.0.iter().map(|(extension, _)| extension).collect();
        assert_eq!(extensions, ["a", "d", "g"]);
        assert_eq!("none".parse::<TypeRules>().unwrap().0, []);
    }

    #[test]
    fn a_charset_is_a_token_or_none() {
        let parse = |text: &str| text.parse::<Charset>();
        assert_eq!(parse("UTF-8"), Ok(Charset(Some("UTF-8".to_owned()))));
        assert_eq!(parse("none"), Ok(Charset(None)));
        for bad in ["", "a b", "a;b", "a\r\nX: y", "\u{eb}"] {
            assert!(parse(bad).unwrap_err().contains("windows-1252"), "{bad:?}");
        }
    }

    #[test]
    fn a_wrong_type_is_refused_with_the_reason() {
        let table = [
            ("", "no equals sign"),
            ("text/plain", "\"text/plain\" has no equals sign"),
            ("=text/plain", "does not begin with an extension"),
            (".=text/plain", "does not begin with an extension"),
            ("a/b=text/plain", "does not begin with an extension"),
            ("md=", "\"\" is not a media type"),
            ("md=text", "\"text\" is not a media type"),
            ("md=text/", "is not a media type"),
            ("md=text/a b", "is not a media type"),
            ("md=text/pl\u{7}ain", "is not a media type"),
            ("md=text/plain\r\nX: y", "\"X: y\" has no equals sign"),
            ("md=text/plain; utf-8", "\"utf-8\" is not a parameter"),
            ("md=text/plain;", "\"\" is not a parameter"),
            ("md=text/plain; a=\"b", "is not a parameter"),
            ("md=text/plain; a=\"\r\"", "is not a parameter"),
            ("a=b/c,d", "\"d\" has no equals sign"),
        ];
        for (text, expected) in table {
            let message = text.parse::<TypeRules>().unwrap_err();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }
}
