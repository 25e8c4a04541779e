//! Content negotiation (RFC 9110 12.5): the content codings of `Accept-Encoding`, and whether
//! `Accept` names HTML.

use super::fields::{Fields, list, trim};
use std::cmp::Reverse;

/// A content coding (RFC 9110 8.4.1), best first: of codings with the same weight, the one that
/// usually makes the smallest file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coding {
    /// `br`, RFC 7932.
    Brotli,
    /// `zstd`, RFC 8878.
    Zstd,
    /// `gzip`, RFC 1952.
    Gzip,
    /// No coding; never sent in `Content-Encoding`.
    Identity,
}

impl Coding {
    const BEST_FIRST: [Self; 4] = [Self::Brotli, Self::Zstd, Self::Gzip, Self::Identity];

    /// The registered name, for `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Identity => "identity",
        }
    }

    /// The suffix that the name of a file in this coding has after the name of the plain one.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
            Self::Identity => "",
        }
    }

    /// Ignores case; `x-gzip` means `gzip` (RFC 9110 8.4.1).
    fn is_named(self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name().as_bytes())
            || self == Self::Gzip && name.eq_ignore_ascii_case(b"x-gzip")
    }
}

/// The codings that a client accepts, each with its weight; `None`: not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preferences([(Coding, Option<Weight>); 4]);

/// A q-value in thousandths (RFC 9110 12.4.2).
type Weight = u16;

impl Preferences {
    /// The acceptable codings, best first. `Identity` is one of them unless the client refuses it.
    /// If there is none, the file is sent as it is, which is more useful than 406.
    pub fn iter(self) -> impl Iterator<Item = Coding> {
        self.0
            .into_iter()
            .filter_map(|(coding, rank)| rank.and(Some(coding)))
    }
}

/// The codings of `Accept-Encoding` (RFC 9110 12.5.3). A malformed member is skipped. Of two
/// members for the same coding, the lower weight applies, so nothing is sent that the client
/// refused.
///
/// Without the field, every coding is allowed; only identity is used then, because clients that
/// send no Accept-Encoding often cannot decode.
pub fn acceptable(fields: Fields<'_>) -> Preferences {
    let mut named = Coding::BEST_FIRST.map(|coding| (coding, None));
    let mut others = None;
    for member in fields.all("Accept-Encoding").flat_map(list) {
        let Some((name, weight)) = coding_and_weight(member) else {
            continue;
        };
        if name == b"*" {
            lower(&mut others, weight);
        } else if let Some((_, explicit)) =
            named.iter_mut().find(|(coding, _)| coding.is_named(name))
        {
            lower(explicit, weight);
        }
    }
    let mut ranked = named.map(|(coding, explicit)| {
        let rank = match explicit.or(others) {
            Some(0) => None,
            Some(weight) => Some(weight),
            // Acceptable without being named, with the lowest weight.
            None => (coding == Coding::Identity).then_some(0),
        };
        (coding, rank)
    });
    ranked.sort_unstable_by_key(|&(coding, rank)| (Reverse(rank), coding));
    Preferences(ranked)
}

/// The coding that `Accept-Encoding` prefers among `codings` and identity: for bodies that are
/// compressed while they are sent.
pub fn preferred(fields: Fields<'_>, codings: &[Coding]) -> Coding {
    let mut offered = acceptable(fields)
        .iter()
        .filter(|coding| *coding == Coding::Identity || codings.contains(coding));
    offered.next().unwrap_or(Coding::Identity)
}

/// Whether `Accept` names HTML with a weight above zero: a browser navigates to a page. Scripts,
/// images and command-line tools send `*/*`.
pub fn names_html(fields: Fields<'_>) -> bool {
    fields
        .all("Accept")
        .flat_map(|value| split_unquoted(value, b','))
        .filter_map(acceptable_range)
        .any(|media_range| {
            media_range.eq_ignore_ascii_case(b"text/html")
                || media_range.eq_ignore_ascii_case(b"application/xhtml+xml")
        })
}

/// Whether `Accept` is absent, or names nothing but `*/*`: a link preview, a monitor, curl.
pub fn accepts_anything(fields: Fields<'_>) -> bool {
    fields
        .all("Accept")
        .flat_map(|value| split_unquoted(value, b','))
        .filter(|member| !trim(member).is_empty())
        .all(|member| acceptable_range(member) == Some(b"*/*"))
}

fn lower(explicit: &mut Option<Weight>, weight: Weight) {
    *explicit = Some(explicit.map_or(weight, |earlier| earlier.min(weight)));
}

/// A member of `Accept-Encoding`: `codings [ weight ]`.
fn coding_and_weight(member: &[u8]) -> Option<(&[u8], Weight)> {
    let mut parts = member.split(|&byte| byte == b';').map(trim);
    let name = parts.next()?;
    let weight = match parts.next() {
        Some(parameter) => weight(parameter)?,
        None => 1000,
    };
    parts.next().is_none().then_some((name, weight))
}

/// The media range of a member of `Accept`, `media-range [ parameters ] [ weight ]` (RFC 9110
/// 12.5.1), unless its weight is zero.
fn acceptable_range(member: &[u8]) -> Option<&[u8]> {
    let mut parts = split_unquoted(member, b';').map(trim);
    let media_range = parts.next()?;
    let mut weights = parts.filter(|parameter| matches!(parameter, [b'q' | b'Q', b'=', ..]));
    let is_wanted = match weights.next() {
        Some(parameter) => weight(parameter).is_some_and(|weight| weight > 0),
        None => true,
    };
    is_wanted.then_some(media_range)
}

/// `q=` and a number from 0 to 1 with at most three decimals, in thousandths.
fn weight(parameter: &[u8]) -> Option<Weight> {
    let [b'q' | b'Q', b'=', whole, decimals @ ..] = parameter else {
        return None;
    };
    let decimals = match decimals {
        [] => decimals,
        [b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return None,
    };
    let thousandths = decimals
        .iter()
        .zip([100, 10, 1])
        .map(|(digit, value)| Weight::from(digit - b'0') * value)
        .sum();
    match (whole, thousandths) {
        (b'0', _) => Some(thousandths),
        (b'1', 0) => Some(1000),
        _ => None,
    }
}

/// Splits at each `separator` outside quoted strings (RFC 9110 5.6.4).
fn split_unquoted(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    value.split(move |&byte| {
        if escaped {
            escaped = false;
        } else if quoted && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            quoted = !quoted;
        }
        byte == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::Coding::*;
    use super::*;
    use proptest::prelude::*;

    fn codings(head: &str) -> Vec<Coding> {
        acceptable(Fields::new(head.as_bytes())).iter().collect()
    }

    fn encodings(value: &str) -> Vec<Coding> {
        codings(&format!("Accept-Encoding: {value}\r\n"))
    }

    fn html(value: &str) -> bool {
        names_html(Fields::new(format!("Accept: {value}\r\n").as_bytes()))
    }

    #[test]
    fn without_the_field_the_file_is_sent_without_a_coding() {
        assert_eq!(codings("Host: a\r\n"), [Identity]);
        assert_eq!(encodings(""), [Identity]);
    }

    #[test]
    fn a_browser_gets_the_smallest_form() {
        assert_eq!(
            encodings("gzip, deflate, br, zstd"),
            [Brotli, Zstd, Gzip, Identity]
        );
    }

    #[test]
    fn weights_come_before_the_preference_of_the_server() {
        assert_eq!(
            encodings("br;q=0.2, gzip;q=0.8, zstd;q=0.799"),
            [Gzip, Zstd, Brotli, Identity]
        );
        assert_eq!(encodings("gzip;q=0.5, identity"), [Identity, Gzip]);
        assert_eq!(
            encodings("identity;q=0.001, gzip;q=0.001"),
            [Gzip, Identity]
        );
    }

    #[test]
    fn a_weight_of_zero_refuses() {
        assert_eq!(encodings("br;q=0, gzip"), [Gzip, Identity]);
        assert_eq!(encodings("br;q=0.000, *"), [Zstd, Gzip, Identity]);
        assert_eq!(encodings("gzip, identity;q=0"), [Gzip]);
        assert_eq!(encodings("identity;q=0"), []);
    }

    #[test]
    fn a_star_means_every_coding_that_is_not_named() {
        assert_eq!(encodings("*"), [Brotli, Zstd, Gzip, Identity]);
        assert_eq!(encodings("gzip, *;q=0"), [Gzip]);
        assert_eq!(encodings("identity, *;q=0"), [Identity]);
        assert_eq!(encodings("*;q=0"), []);
        assert_eq!(
            encodings("gzip;q=0.1, *;q=0.5"),
            [Brotli, Zstd, Identity, Gzip]
        );
    }

    #[test]
    fn names_are_compared_without_case_and_x_gzip_is_gzip() {
        assert_eq!(encodings("GZip"), [Gzip, Identity]);
        assert_eq!(encodings("X-GZIP"), [Gzip, Identity]);
        assert_eq!(encodings("x-br, brotli, zst, deflate"), [Identity]);
    }

    #[test]
    fn several_lines_are_one_list() {
        assert_eq!(
            codings("Accept-Encoding: gzip\r\nHost: a\r\naccept-encoding: br\r\n"),
            [Brotli, Gzip, Identity]
        );
    }

    #[test]
    fn of_two_weights_for_one_coding_the_lower_counts() {
        assert_eq!(encodings("gzip, gzip;q=0"), [Identity]);
        assert_eq!(encodings("gzip;q=0, x-gzip"), [Identity]);
        assert_eq!(encodings("*;q=0, *, identity"), [Identity]);
    }

    #[test]
    fn malformed_members_are_skipped() {
        for member in [
            "br;q=1.5",
            "br;q=1.001",
            "br;q=0.1234",
            "br;q=",
            "br;q",
            "br;",
            "br;q=.5",
            "br;q=-1",
            "br;q=2",
            // The comma makes two members of it: one refuses br, the other is no coding.
            "br;q=0,5",
            "br;q=0.5;q=1",
            "br;x=1",
            "br q=1",
            "br;q =1",
            "br;q=0.5x",
            ";",
        ] {
            let accepted = encodings(&format!("{member}, gzip;q=0.3"));
            assert_eq!(accepted, [Gzip, Identity], "{member}");
        }
    }

    #[test]
    fn weights_have_up_to_three_decimals() {
        for (text, thousandths) in [
            ("q=0", 0),
            ("q=0.", 0),
            ("q=0.5", 500),
            ("Q=0.05", 50),
            ("q=0.123", 123),
            ("q=1", 1000),
            ("q=1.", 1000),
            ("q=1.000", 1000),
        ] {
            assert_eq!(weight(text.as_bytes()), Some(thousandths), "{text}");
        }
    }

    #[test]
    fn a_browser_that_navigates_prefers_html() {
        assert!(html(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        ));
        assert!(html("image/png, TEXT/HTML ; charset=utf-8 ; q=0.1"));
        assert!(html("application/xhtml+xml"));
    }

    #[test]
    fn tools_and_scripts_do_not_prefer_html() {
        for value in [
            "*/*",
            "text/*",
            "",
            "text/html;q=0",
            "text/html;level=1;q=0.000",
            "text/html;q=x",
            "text/htmlx",
            "application/json",
            r#"a/b;c="d,text/html,e""#,
            r#"a/b;c="d\",text/html,e""#,
        ] {
            assert!(!html(value), "{value}");
        }
        assert!(!names_html(Fields::new(b"Host: a\r\n")));
    }

    #[test]
    fn some_accept_anything_and_prefer_nothing() {
        let anything =
            |value: &str| accepts_anything(Fields::new(format!("Accept: {value}\r\n").as_bytes()));
        for value in ["*/*", "", " , ", "*/*;q=0.8", "*/*, */*;q=0.1"] {
            assert!(anything(value), "{value}");
        }
        for value in ["*/*;q=0", "text/css,*/*;q=0.1", "image/*", "text/html", "*"] {
            assert!(!anything(value), "{value}");
        }
        assert!(accepts_anything(Fields::new(b"Host: a\r\n")));
    }

    #[test]
    fn the_preferred_coding_is_one_that_is_offered_and_weighs_no_less_than_identity() {
        for (value, among_all, with_gzip) in [
            ("gzip, deflate, br, zstd", Brotli, Gzip),
            ("br, x-gzip;q=0.1", Brotli, Gzip),
            ("gzip, zstd;q=0.9", Gzip, Gzip),
            ("*", Brotli, Gzip),
            ("identity, gzip", Gzip, Gzip),
            ("", Identity, Identity),
            ("br, zstd", Brotli, Identity),
            ("gzip;q=0", Identity, Identity),
            ("identity, gzip;q=0.5", Identity, Identity),
            ("gzip;q=0, *", Brotli, Identity),
            ("identity;q=0", Identity, Identity),
            ("identity;q=0, zstd;q=0.1", Zstd, Identity),
        ] {
            let field = format!("Accept-Encoding: {value}\r\n");
            let fields = Fields::new(field.as_bytes());
            let all = [Brotli, Zstd, Gzip];
            assert_eq!(preferred(fields, &all), among_all, "{value}");
            assert_eq!(preferred(fields, &[Gzip]), with_gzip, "{value}");
        }
        assert_eq!(preferred(Fields::new(b"Host: a\r\n"), &[Gzip]), Identity);
    }

    #[test]
    fn a_comma_in_quotes_does_not_end_a_member() {
        assert!(!html(r#"text/html;a="x,y";q=0"#));
        assert!(html(r#"text/html;a="x,y;q=0""#));
    }

    #[test]
    fn a_list_of_32_kib_is_one_more_list() {
        let commas = ",".repeat(32 * 1024);
        assert_eq!(encodings(&format!("{commas}br")), [Brotli, Identity]);
        assert!(html(&format!("{commas}text/html")));
        let semicolons = ";".repeat(32 * 1024);
        assert_eq!(encodings(&format!("br{semicolons}")), [Identity]);
        assert!(html(&format!("text/html{semicolons}")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(value: Vec<u8>) {
            for name in ["Accept-Encoding: ", "Accept: ", ""] {
                let head = [name.as_bytes(), &value].concat();
                let accepted: Vec<_> = acceptable(Fields::new(&head)).iter().collect();
                prop_assert!(accepted.len() <= 4);
                names_html(Fields::new(&head));
            }
        }

        #[test]
        fn any_well_formed_list_is_ordered_by_weight(
            weights in prop::array::uniform4(0u16..=1000),
        ) {
            let spell = |weight: u16| format!("{}.{:03}", weight / 1000, weight % 1000);
            let value: Vec<_> = Coding::BEST_FIRST
                .iter()
                .zip(weights)
                .map(|(coding, weight)| format!("{};q={}", coding.name(), spell(weight)))
                .collect();
            let mut expected: Vec<_> = Coding::BEST_FIRST.into_iter().zip(weights).collect();
            expected.retain(|&(_, weight)| weight > 0);
            expected.sort_by_key(|&(_, weight)| Reverse(weight));
            let expected: Vec<_> = expected.into_iter().map(|(coding, _)| coding).collect();
            prop_assert_eq!(encodings(&value.join(" , ")), expected);
        }
    }
}
