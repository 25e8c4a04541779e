//! Conditional requests (RFC 9110 13), evaluated in the order of 13.2.2.

use super::date::HttpDate;
use super::etag::ETag;
use super::fields::Fields;

/// The validators of the selected representation. One without a version, such as a directory page,
/// has neither.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validators<'v> {
    /// Its `ETag`.
    pub etag: Option<&'v ETag>,
    /// Its `Last-Modified`. `None`, here as in the response, while the file may still change within
    /// that second: the date would validate two versions.
    pub modified: Option<HttpDate>,
}

/// The result of evaluating the conditions of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionOutcome {
    /// Answer as if there were no conditions.
    Proceed {
        /// Whether `Range` applies. If not, it is ignored: 200 and the whole representation.
        ranges: bool,
    },
    /// 304: the client has this version.
    NotModified,
    /// 412: the client expects another version.
    PreconditionFailed,
}

/// Evaluates the conditions of a GET or HEAD (RFC 9110 13.2.2) that would be answered with 200
/// without them. Conditions do not apply to other responses, such as a 404 or a redirect (13.2.1).
///
/// A malformed list of entity-tags matches nothing, even if it contains the current one: with
/// If-Match the response is 412, with If-None-Match it is the whole representation. That may cost
/// the client a transfer, but it never keeps a wrong version.
pub fn evaluate(fields: Fields<'_>, current: Validators<'_>, now: HttpDate) -> ConditionOutcome {
    let conditions = Conditions::of(fields);

    // Steps 1 and 2.
    if conditions.if_match.is_present() {
        if !conditions.if_match.matches(current.etag, ETag::strong_eq) {
            return ConditionOutcome::PreconditionFailed;
        }
    } else if let Some(modified) = current.modified
        && let Some(since) = conditions.if_unmodified_since.date()
        && modified > since
    {
        return ConditionOutcome::PreconditionFailed;
    }

    // Steps 3 and 4. If-Modified-Since is ignored beside a malformed If-None-Match, too (13.1.3).
    if conditions.if_none_match.is_present() {
        if conditions
            .if_none_match
            .matches(current.etag, ETag::weak_eq)
        {
            return ConditionOutcome::NotModified;
        }
    } else if let Some(modified) = current.modified
        && let Some(since) = conditions.if_modified_since.date()
        // A date in the future is not from this server, and would match for ever. RFC 2616 14.25
        // calls it invalid; RFC 9110 does not say.
        && since <= now
        && modified <= since
    {
        return ConditionOutcome::NotModified;
    }

    // Step 5. If-Range without Range is ignored.
    let has_if_range = conditions.if_range.is_present() && fields.all("Range").next().is_some();
    ConditionOutcome::Proceed {
        ranges: !has_if_range || if_range_matches(conditions.if_range, current, now),
    }
}

/// If-Range (RFC 9110 13.1.5): whether the client has other parts of the current version. Only a
/// strong validator can tell.
fn if_range_matches(if_range: Condition<'_>, current: Validators<'_>, now: HttpDate) -> bool {
    let Some(validator) = if_range.only() else {
        return false;
    };
    // An entity-tag is never a date: one of the two comparisons is always false.
    let is_current_tag = current.etag.is_some_and(|etag| etag.strong_eq(validator));
    let is_current_date = current.modified.is_some_and(|modified| {
        // A date is strong once its second is over (8.8.2.2).
        modified < now && HttpDate::parse(validator) == Some(modified)
    });
    is_current_tag || is_current_date
}

/// The conditions of a request, found in one pass over its fields.
struct Conditions<'h> {
    if_match: Condition<'h>,
    if_none_match: Condition<'h>,
    if_unmodified_since: Condition<'h>,
    if_modified_since: Condition<'h>,
    if_range: Condition<'h>,
}

/// One field, which may have several lines.
#[derive(Clone, Copy)]
struct Condition<'h> {
    name: &'static str,
    /// All fields of the request, to find the lines if there are several.
    fields: Fields<'h>,
    lines: usize,
    /// The value of the last line.
    value: &'h [u8],
}

impl<'h> Conditions<'h> {
    fn of(fields: Fields<'h>) -> Self {
        let absent = |name| Condition {
            name,
            fields,
            lines: 0,
            value: b"",
        };
        let mut found = Self {
            if_match: absent("If-Match"),
            if_none_match: absent("If-None-Match"),
            if_unmodified_since: absent("If-Unmodified-Since"),
            if_modified_since: absent("If-Modified-Since"),
            if_range: absent("If-Range"),
        };
        for (name, value) in fields.iter().filter(|(name, _)| is_condition(name)) {
            let known = [
                &mut found.if_match,
                &mut found.if_none_match,
                &mut found.if_unmodified_since,
                &mut found.if_modified_since,
                &mut found.if_range,
            ];
            for condition in known {
                if name.eq_ignore_ascii_case(condition.name.as_bytes()) {
                    condition.lines += 1;
                    condition.value = value;
                }
            }
        }
        found
    }
}

impl<'h> Condition<'h> {
    fn is_present(self) -> bool {
        self.lines > 0
    }

    /// The value, if there is exactly one line.
    fn only(self) -> Option<&'h [u8]> {
        (self.lines == 1).then_some(self.value)
    }

    /// The value as a date. A field that is malformed or repeated is ignored (RFC 9110 13.1.3,
    /// 13.1.4).
    fn date(self) -> Option<HttpDate> {
        self.only().and_then(HttpDate::parse)
    }

    /// Whether it is `*` (which matches any representation), or a well-formed list with a tag that
    /// is `equal` to `etag`.
    fn matches(self, etag: Option<&ETag>, equal: fn(&ETag, &[u8]) -> bool) -> bool {
        match self.only() {
            Some(b"*") => true,
            Some(value) => is_among(EntityTags(value), etag, equal),
            // A tag cannot span lines: joining them adds a space, which a tag may not contain.
            None => is_among(self.fields.all(self.name).flat_map(EntityTags), etag, equal),
        }
    }
}

fn is_among<'h>(
    tags: impl Iterator<Item = Result<&'h [u8], MalformedTag>>,
    etag: Option<&ETag>,
    equal: fn(&ETag, &[u8]) -> bool,
) -> bool {
    let mut is_named = false;
    for tag in tags {
        let Ok(tag) = tag else {
            return false;
        };
        is_named |= etag.is_some_and(|etag| equal(etag, tag));
    }
    is_named
}

/// Whether the field may be a condition: all of them begin with `If-`.
pub(super) fn is_condition(name: &[u8]) -> bool {
    name.get(..3)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"If-"))
}

/// The entity-tags of one line, with their quotes; ends with the first malformed one. Not
/// [`super::fields::list`], because a tag may contain a comma.
struct EntityTags<'h>(&'h [u8]);

struct MalformedTag;

impl<'h> Iterator for EntityTags<'h> {
    type Item = Result<&'h [u8], MalformedTag>;

    fn next(&mut self) -> Option<Self::Item> {
        while let [b',' | b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
        if self.0.is_empty() {
            return None;
        }
        let (tag, rest) = split_entity_tag(self.0).unwrap_or((b"", b""));
        let rest = rest.trim_ascii_start();
        let is_whole = !tag.is_empty() && (rest.is_empty() || rest.starts_with(b","));
        self.0 = if is_whole { rest } else { b"" };
        Some(if is_whole { Ok(tag) } else { Err(MalformedTag) })
    }
}

/// `entity-tag = [ %s"W/" ] DQUOTE *etagc DQUOTE` (RFC 9110 8.8.3) and what follows it.
fn split_entity_tag(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let weak = if text.starts_with(b"W/") { 2 } else { 0 };
    let inside = text.get(weak..)?.strip_prefix(b"\"")?;
    let len = inside.iter().position(|&byte| !is_etagc(byte))?;
    let (tag, rest) = text.split_at_checked(weak + 1 + len + 1)?;
    tag.ends_with(b"\"").then_some((tag, rest))
}

fn is_etagc(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::ConditionOutcome::*;
    use super::*;
    use crate::http::negotiate::Coding;
    use proptest::prelude::*;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const NOW: &str = "Sun, 06 Nov 1994 08:49:39 GMT";
    const FUTURE: &str = "Sun, 06 Nov 1994 08:49:40 GMT";
    const GO: ConditionOutcome = Proceed { ranges: true };
    const GO_WHOLE: ConditionOutcome = Proceed { ranges: false };

    fn moment(text: &str) -> HttpDate {
        HttpDate::parse(text.as_bytes()).unwrap()
    }

    /// The file's tag is `"1-2"`, or `W/"1-2-3"` while it is racy.
    fn file(racy: bool) -> ETag {
        if racy {
            let wall = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(3);
            ETag::racy(1, 2, Coding::Identity, wall)
        } else {
            ETag::strong(1, 2, Coding::Identity)
        }
    }

    fn ask_as(
        head: &[u8],
        etag: Option<&ETag>,
        modified: Option<&str>,
        now: &str,
    ) -> ConditionOutcome {
        let modified = modified.map(moment);
        evaluate(
            Fields::new(head),
            Validators { etag, modified },
            moment(now),
        )
    }

    /// Of a file that is not racy. The lines are separated by `|`, and `MODIFIED` etc. stand for
    /// dates.
    fn ask(lines: &str) -> ConditionOutcome {
        ask_as(&head(lines), Some(&file(false)), Some(MODIFIED), NOW)
    }

    fn head(lines: &str) -> Vec<u8> {
        let mut head = String::new();
        for line in lines.split('|') {
            let line = line
                .replace("BEFORE", BEFORE)
                .replace("MODIFIED", MODIFIED)
                .replace("AFTER", AFTER)
                .replace("NOW", NOW)
                .replace("FUTURE", FUTURE);
            head.push_str(&line);
            head.push_str("\r\n");
        }
        head.into_bytes()
    }

    fn check(rows: &[(&str, ConditionOutcome)]) {
        for (lines, verdict) in rows {
            assert_eq!(ask(lines), *verdict, "{lines}");
        }
    }

    #[test]
    fn without_conditions_the_request_proceeds() {
        check(&[
            ("Host: a", GO),
            ("Host: a|Range: bytes=0-1", GO),
            ("If: (<urn:x>)|I: a", GO),
        ]);
    }

    #[test]
    fn if_match_compares_strongly() {
        check(&[
            (r#"If-Match: "1-2""#, GO),
            (r#"if-match: "x", "1-2""#, GO),
            (r#"If-Match: "x"|If-Match: "1-2""#, GO),
            (r#"If-Match: *"#, GO),
            (r#"If-Match: W/"1-2""#, PreconditionFailed),
            (r#"If-Match: "x""#, PreconditionFailed),
            (r#"If-Match:"#, PreconditionFailed),
        ]);
    }

    #[test]
    fn if_none_match_compares_weakly() {
        check(&[
            (r#"If-None-Match: "1-2""#, NotModified),
            (r#"If-None-Match: W/"1-2""#, NotModified),
            (r#"if-none-match: "x" ,, W/"y", "1-2","#, NotModified),
            (r#"If-None-Match: "x"|If-None-Match: "1-2""#, NotModified),
            (r#"If-None-Match: *"#, NotModified),
            (r#"If-None-Match: "x", W/"y""#, GO),
            (r#"If-None-Match:"#, GO),
        ]);
    }

    #[test]
    fn a_comma_inside_a_tag_belongs_to_it() {
        check(&[
            (r#"If-None-Match: "a,b", "1-2""#, NotModified),
            (r#"If-None-Match: "a,"1-2",b""#, GO),
            (r#"If-None-Match: "a,1-2,b""#, GO),
        ]);
    }

    #[test]
    fn a_malformed_list_matches_nothing() {
        for list in [
            r#"1-2"#,
            r#""1-2"#,
            r#""1-2" x"#,
            r#""1-2""x""#,
            r#""1-2", x"#,
            r#""1-2", ""#,
            r#""1-2", "x y""#,
            r#""1-2", W"#,
            r#""1-2", W/"#,
            r#""1-2", W/ "x""#,
            r#"w/"1-2""#,
            r#"*, "1-2""#,
            r#""1-2", *"#,
        ] {
            let if_match = ask(&format!("If-Match: {list}"));
            assert_eq!(if_match, PreconditionFailed, "{list}");
            let if_none_match = ask(&format!("If-None-Match: {list}"));
            assert_eq!(if_none_match, GO, "{list}");
        }
        check(&[
            (r#"If-None-Match: "1-2"|If-None-Match: x"#, GO),
            ("If-Match: *|If-Match: *", PreconditionFailed),
            ("If-None-Match: *|If-None-Match: *", GO),
        ]);
    }

    #[test]
    fn if_modified_since_is_about_that_second_or_later() {
        check(&[
            ("If-Modified-Since: BEFORE", GO),
            ("If-Modified-Since: MODIFIED", NotModified),
            ("If-Modified-Since: AFTER", NotModified),
            ("If-Modified-Since: NOW", NotModified),
            (
                "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT",
                NotModified,
            ),
            ("If-Modified-Since: Sun Nov  6 08:49:37 1994", NotModified),
        ]);
    }

    #[test]
    fn if_unmodified_since_is_about_that_second_or_later() {
        check(&[
            ("If-Unmodified-Since: BEFORE", PreconditionFailed),
            ("If-Unmodified-Since: MODIFIED", GO),
            ("If-Unmodified-Since: AFTER", GO),
            ("If-Unmodified-Since: FUTURE", GO),
        ]);
    }

    #[test]
    fn invalid_dates_are_ignored() {
        check(&[
            ("If-Modified-Since: FUTURE", GO),
            ("If-Modified-Since: yesterday", GO),
            ("If-Modified-Since:", GO),
            ("If-Modified-Since: AFTER|If-Modified-Since: AFTER", GO),
            ("If-Modified-Since: AFTER, AFTER", GO),
            ("If-Unmodified-Since: yesterday", GO),
            (
                "If-Unmodified-Since: BEFORE|If-Unmodified-Since: BEFORE",
                GO,
            ),
        ]);
        for lines in ["If-Modified-Since: AFTER", "If-Unmodified-Since: BEFORE"] {
            let undated = ask_as(&head(lines), Some(&file(false)), None, NOW);
            assert_eq!(undated, GO, "{lines}");
        }
    }

    #[test]
    fn dates_are_ignored_beside_tags() {
        check(&[
            (r#"If-Match: "1-2"|If-Unmodified-Since: BEFORE"#, GO),
            (
                r#"If-Match: "x"|If-Unmodified-Since: AFTER"#,
                PreconditionFailed,
            ),
            (r#"If-None-Match: "x"|If-Modified-Since: AFTER"#, GO),
            (
                r#"If-None-Match: "1-2"|If-Modified-Since: BEFORE"#,
                NotModified,
            ),
            ("If-None-Match: x|If-Modified-Since: AFTER", GO),
        ]);
    }

    #[test]
    fn a_failed_precondition_comes_before_not_modified() {
        check(&[
            (r#"If-None-Match: "1-2"|If-Match: "x""#, PreconditionFailed),
            (r#"If-None-Match: "1-2"|If-Match: "1-2""#, NotModified),
            (
                "If-Modified-Since: AFTER|If-Unmodified-Since: BEFORE",
                PreconditionFailed,
            ),
            (
                "If-Modified-Since: AFTER|If-Unmodified-Since: AFTER",
                NotModified,
            ),
            (
                r#"If-Range: "x"|Range: bytes=0-1|If-None-Match: "1-2""#,
                NotModified,
            ),
            (
                r#"If-Range: "x"|Range: bytes=0-1|If-Match: "1-2""#,
                GO_WHOLE,
            ),
        ]);
    }

    #[test]
    fn if_range_needs_a_strong_validator_that_is_equal() {
        for (validator, verdict) in [
            (r#""1-2""#, GO),
            ("MODIFIED", GO),
            ("Sunday, 06-Nov-94 08:49:37 GMT", GO),
            (r#"W/"1-2""#, GO_WHOLE),
            (r#""x""#, GO_WHOLE),
            (r#""1-2", "1-2""#, GO_WHOLE),
            (r#""1-2"|If-Range: "1-2""#, GO_WHOLE),
            ("*", GO_WHOLE),
            ("", GO_WHOLE),
            ("BEFORE", GO_WHOLE),
            ("AFTER", GO_WHOLE),
            ("FUTURE", GO_WHOLE),
        ] {
            let lines = format!("Range: bytes=0-1|If-Range: {validator}");
            assert_eq!(ask(&lines), verdict, "{lines}");
        }
        check(&[(r#"If-Range: "x""#, GO)]);
    }

    #[test]
    fn a_racy_file_has_no_strong_validator() {
        let racy = file(true);
        let tag = head(r#"Range: bytes=0-1|If-Range: W/"1-2-3""#);
        assert_eq!(ask_as(&tag, Some(&racy), None, NOW), GO_WHOLE);
        let date = head("Range: bytes=0-1|If-Range: MODIFIED");
        let in_that_second = ask_as(&date, Some(&racy), Some(MODIFIED), MODIFIED);
        assert_eq!(in_that_second, GO_WHOLE);
        let if_match = head(r#"If-Match: W/"1-2-3", "1-2-3""#);
        assert_eq!(
            ask_as(&if_match, Some(&racy), None, NOW),
            PreconditionFailed
        );
    }

    #[test]
    fn a_page_without_a_version_matches_only_an_asterisk() {
        for (lines, verdict) in [
            (r#"If-Match: "1-2""#, PreconditionFailed),
            ("If-Match: *", GO),
            (r#"If-None-Match: "1-2""#, GO),
            ("If-None-Match: *", NotModified),
            ("If-Modified-Since: AFTER", GO),
            ("If-Unmodified-Since: BEFORE", GO),
            ("Range: bytes=0-1|If-Range: MODIFIED", GO_WHOLE),
        ] {
            let now = moment(NOW);
            let answer = evaluate(Fields::new(&head(lines)), Validators::default(), now);
            assert_eq!(answer, verdict, "{lines}");
        }
    }

    #[test]
    fn a_list_of_32_kib_is_parsed() {
        for (piece, verdict) in [
            (",", NotModified),
            ("\"x\",", NotModified),
            (" \t", NotModified),
            ("\"", GO),
            ("\"\"", GO),
            ("W/", GO),
            ("W/\"x ,", GO),
        ] {
            let hostile = piece.repeat(32 * 1024 / piece.len());
            let lines = format!("If-None-Match: {hostile}\"1-2\"");
            assert_eq!(ask(&lines), verdict, "{piece}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(value: Vec<u8>, which in 0usize..6, racy: bool) {
            let names = [
                "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
                "Range: bytes=0-1\r\nIf-Range", "Host: a\r\nIf-Nothing",
            ];
            let head = [names[which].as_bytes(), b": ", &value].concat();
            ask_as(&head, Some(&file(racy)), Some(MODIFIED), NOW);
            ask_as(&value, Some(&file(racy)), Some(MODIFIED), NOW);
        }

        #[test]
        fn any_line_of_tag_like_bytes_ends(value in r#"[W/", x*1-]{0,40}"#) {
            // A fault ends the line, so no line gives more tags than it has bytes.
            prop_assert!(EntityTags(value.as_bytes()).count() <= value.len());
        }

        #[test]
        fn any_well_formed_list_is_found_in(
            tags in prop::collection::vec(r#"(W/)?"[!#-~\u{80}-\u{ff}]{0,6}""#, 0..8),
            comma in "[ \t]{0,2},[, \t]{0,4}",
            ours in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut tags = tags;
            tags.retain(|tag| !tag.ends_with("\"1-2\""));
            if let Some(index) = ours {
                tags.insert(index.index(tags.len() + 1), "W/\"1-2\"".to_owned());
            }
            let head = format!("If-None-Match: {}\r\n", tags.join(&comma)).into_bytes();
            let verdict = if ours.is_some() { NotModified } else { GO };
            prop_assert_eq!(ask_as(&head, Some(&file(false)), Some(MODIFIED), NOW), verdict);
        }
    }
}
