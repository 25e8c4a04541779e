//! The character encoding that a file declares in its first 1,024 bytes.
//!
//! A charset in Content-Type overrides the declaration in the file, so it may only be sent if both
//! agree. HTML is scanned as in browsers (WHATWG HTML 13.2.3.2, "prescan a byte stream to
//! determine its encoding"), XML by its declaration (XML 1.0 4.3.3), CSS by `@charset` (CSS Syntax
//! 3.2). A byte order mark overrides all of them.

/// How many bytes of a file are scanned: as many as in browsers.
pub const SNIFFED_BYTES: usize = 1024;

/// Languages in which a file can declare its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `<meta charset=...>`, or with `http-equiv`; an XML declaration if there is neither.
    Html,
    /// `<?xml version="1.0" encoding="..."?>`
    Xml,
    /// `@charset "...";`
    Css,
}

/// The label of the encoding that a file declares. `file` is the file, or at least its first
/// [`SNIFFED_BYTES`] bytes.
///
/// Labels that browsers do not know are declarations, too.
pub fn declared(language: Language, file: &[u8]) -> Option<&[u8]> {
    let head = file.get(..SNIFFED_BYTES).unwrap_or(file);
    let label = match head {
        [0xef, 0xbb, 0xbf, ..] => return Some(b"utf-8"),
        // With a mark, or with an XML declaration without one.
        [0xff, 0xfe, ..] | [b'<', 0, b'?', 0, b'x', 0, ..] => return Some(b"utf-16le"),
        [0xfe, 0xff, ..] | [0, b'<', 0, b'?', 0, b'x', ..] => return Some(b"utf-16be"),
        _ => match language {
            Language::Html => html(head).or_else(|| xml(head)),
            Language::Xml => xml(head),
            Language::Css => css(head),
        },
    }?;
    // A declaration in ASCII bytes is not in UTF-16 (WHATWG HTML 13.2.3.2).
    Some(if is_utf16(label) { b"utf-8" } else { label })
}

/// Whether two labels mean the same encoding: both UTF-8, or the same name.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other) || is_utf8(one) && is_utf8(other)
}

/// The labels of <https://encoding.spec.whatwg.org/#names-and-labels>.
fn is_utf8(label: &[u8]) -> bool {
    const LABELS: [&str; 6] = [
        "utf-8",
        "utf8",
        "unicode-1-1-utf-8",
        "unicode11utf8",
        "unicode20utf8",
        "x-unicode20utf8",
    ];
    is_among(&LABELS, label)
}

fn is_utf16(label: &[u8]) -> bool {
    const LABELS: [&str; 9] = [
        "utf-16",
        "utf-16le",
        "utf-16be",
        "csunicode",
        "iso-10646-ucs-2",
        "ucs-2",
        "unicode",
        "unicodefeff",
        "unicodefffe",
    ];
    is_among(&LABELS, label)
}

fn is_among(labels: &[&str], label: &[u8]) -> bool {
    labels
        .iter()
        .any(|known| label.eq_ignore_ascii_case(known.as_bytes()))
}

/// A label without surrounding white space, if it is valid.
fn label(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii();
    let is_label = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:()+".contains(byte);
    (!text.is_empty() && text.iter().all(is_label)).then_some(text)
}

/// The first element `meta` that declares an encoding, outside comments and other tags.
fn html(head: &[u8]) -> Option<&[u8]> {
    let mut rest = head;
    loop {
        let start = rest.iter().position(|&byte| byte == b'<')?;
        rest = rest.get(start + 1..)?;
        if rest.starts_with(b"!--") {
            // The end may share its hyphens with the start: `<!-->`.
            let hyphens = rest.get(1..)?;
            let end = hyphens.windows(3).position(|window| window == b"-->")?;
            rest = hyphens.get(end + 3..)?;
        } else if let Some(attributes) = after_meta(rest) {
            let (found, behind) = meta(attributes)?;
            if found.is_some() {
                return found;
            }
            rest = behind;
        } else if is_tag(rest) {
            rest = rest.get(rest.iter().position(|&byte| ends_name(byte))?..)?;
            while let (Some(_), behind) = attribute(rest)? {
                rest = behind;
            }
        } else if let [b'!' | b'/' | b'?', ..] = rest {
            rest = rest.get(rest.iter().position(|&byte| byte == b'>')?..)?;
        }
    }
}

/// What follows `<meta`, if `rest` is what follows `<` and begins with it.
fn after_meta(rest: &[u8]) -> Option<&[u8]> {
    let (name, rest) = rest.split_at_checked(4)?;
    let is_meta = name.eq_ignore_ascii_case(b"meta")
        && matches!(rest, [byte, ..] if is_blank(*byte) || *byte == b'/');
    is_meta.then_some(rest)
}

/// Whether a tag begins here, after its `<`.
fn is_tag(rest: &[u8]) -> bool {
    matches!(rest.strip_prefix(b"/").unwrap_or(rest), [first, ..] if first.is_ascii_alphabetic())
}

/// The encoding that an element `meta` declares, and what follows its attributes. `None` if they do
/// not end.
fn meta(attributes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let mut rest = attributes;
    // Of several attributes with one name, the first applies.
    let (mut pragma, mut content, mut charset) = (None, None, None);
    loop {
        let (found, behind) = attribute(rest)?;
        rest = behind;
        let Some((name, value)) = found else {
            break;
        };
        for (known, first) in [
            (b"http-equiv".as_slice(), &mut pragma),
            (b"content", &mut content),
            (b"charset", &mut charset),
        ] {
            if name.eq_ignore_ascii_case(known) {
                first.get_or_insert(value);
            }
        }
    }
    let is_content_type = pragma.is_some_and(|value| value.eq_ignore_ascii_case(b"content-type"));
    let declared = match charset {
        Some(charset) => label(charset),
        None if is_content_type => content.and_then(in_content),
        None => None,
    };
    Some((declared, rest))
}

/// Name and value of an attribute.
type Attribute<'h> = (&'h [u8], &'h [u8]);

/// The next attribute of a tag, and what follows it; `Some((None, _))` at the end of the tag,
/// `None` if `rest` ends before.
fn attribute(rest: &[u8]) -> Option<(Option<Attribute<'_>>, &[u8])> {
    let rest = skip(rest, |byte| is_blank(byte) || byte == b'/');
    if *rest.first()? == b'>' {
        return Some((None, rest));
    }
    // An equals sign as the first byte is part of the name.
    let end = rest
        .iter()
        .skip(1)
        .position(|&byte| byte == b'=' || ends_attribute(byte))?
        + 1;
    let (name, rest) = rest.split_at_checked(end)?;
    let behind = skip(rest, is_blank);
    let Some(value) = behind.strip_prefix(b"=") else {
        // Some byte has to end it.
        behind.first()?;
        return Some((Some((name, b"")), behind));
    };
    let value = skip(value, is_blank);
    let (value, rest) = match value {
        [quote @ (b'"' | b'\''), value @ ..] => {
            let end = value.iter().position(|byte| byte == quote)?;
            (value.get(..end)?, value.get(end + 1..)?)
        }
        _ => {
            let end = value
                .iter()
                .position(|&byte| is_blank(byte) || byte == b'>')?;
            value.split_at_checked(end)?
        }
    };
    Some((Some((name, value)), rest))
}

/// The encoding in `text/html; charset=...` (WHATWG HTML 2.4.6, "extracting a character encoding
/// from a meta element").
fn in_content(value: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"charset";
    let mut rest = value;
    loop {
        let is_name = |window: &[u8]| window.eq_ignore_ascii_case(NAME);
        let at = rest.windows(NAME.len()).position(is_name)?;
        rest = skip(rest.get(at + NAME.len()..)?, is_blank);
        let Some(value) = rest.strip_prefix(b"=") else {
            continue;
        };
        return match skip(value, is_blank) {
            [quote @ (b'"' | b'\''), value @ ..] => {
                let end = value.iter().position(|byte| byte == quote)?;
                label(value.get(..end)?)
            }
            value => label(value.split(|&byte| is_blank(byte) || byte == b';').next()?),
        };
    }
}

/// The encoding in an XML declaration (WHATWG HTML 13.2.3.2, "get an XML encoding").
fn xml(head: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"encoding";
    let declaration = head.strip_prefix(b"<?xml")?;
    let declaration = declaration.split(|&byte| byte == b'>').next()?;
    // Without a `>` it does not end here.
    head.get(5 + declaration.len())?;
    let at = declaration
        .windows(NAME.len())
        .position(|window| window == NAME)?;
    let is_blank = |byte: u8| byte <= b' ';
    let rest = skip(declaration.get(at + NAME.len()..)?, is_blank);
    let [quote @ (b'"' | b'\''), value @ ..] = skip(rest.strip_prefix(b"=")?, is_blank) else {
        return None;
    };
    let end = value.iter().position(|byte| byte == quote)?;
    label(value.get(..end)?)
}

/// The encoding in `@charset`: these bytes exactly, at the beginning of the file.
fn css(head: &[u8]) -> Option<&[u8]> {
    let value = head.strip_prefix(b"@charset \"")?;
    let end = value.iter().position(|&byte| byte == b'"')?;
    let (value, rest) = value.split_at_checked(end)?;
    rest.starts_with(b"\";").then(|| label(value))?
}

fn skip(bytes: &[u8], is_skipped: impl Fn(u8) -> bool) -> &[u8] {
    let length = bytes.iter().take_while(|&&byte| is_skipped(byte)).count();
    bytes.split_at(length).1
}

/// White space of HTML.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

fn ends_name(byte: u8) -> bool {
    is_blank(byte) || byte == b'>'
}

fn ends_attribute(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b'/' | b'>')
}

#[cfg(test)]
mod tests {
    use super::Language::*;
    use super::*;
    use proptest::prelude::*;

    fn found(language: Language, file: &str) -> Option<&str> {
        declared(language, file.as_bytes()).map(|label| str::from_utf8(label).unwrap())
    }

    #[test]
    fn html_declares_its_encoding_in_a_meta_element() {
        for file in [
            "<meta charset=windows-1251>",
            "<meta charset='windows-1251'>",
            "<meta charset=\"windows-1251\">",
            "<meta charset=\" windows-1251\n\">",
            "<META CHARSET=windows-1251>",
            "<meta/charset=windows-1251>",
            "<meta\tcharset\n=\r\n'windows-1251' />",
            "<meta x y=z name=a charset=windows-1251 x>",
            "<meta charset=windows-1251 charset=utf-8>",
            "<meta http-equiv=Content-Type content='text/html; charset=windows-1251'>",
            "<meta http-equiv=\"content-type\" content=\"text/html;charset=windows-1251\"/>",
            "<meta content='text/html; charset=windows-1251' http-equiv=CONTENT-TYPE>",
            "<meta http-equiv=Content-Type content='charset = \"windows-1251\"'>",
            "<meta http-equiv=Content-Type content=\"charset='windows-1251'\">",
            "<meta http-equiv=Content-Type content='a charset b; charset=windows-1251; c'>",
            "<meta http-equiv=Content-Type content='charset=utf-8' charset=windows-1251>",
            "<!doctype html>\n<html lang=ru><head><title>a</title><meta charset=windows-1251>",
            "<!-- <meta charset=utf-8> --><meta charset=windows-1251>",
            "<!--><meta charset=windows-1251>",
            "<!-- a -- b --><meta charset=windows-1251>",
            "<a title='<meta charset=utf-8>'><meta charset=windows-1251>",
            "<a title=\"a>b\" =x><meta charset=windows-1251>",
            "</a><br/><? <meta charset=utf-8 ?><meta charset=windows-1251>",
            "<metal charset=utf-8><meta charset=windows-1251>",
            "a < b <meta charset=windows-1251>",
            "<meta name=viewport content='charset=utf-8'><meta charset=windows-1251>",
            "<meta charset=''><meta charset=windows-1251>",
            "<?xml version='1.0' encoding='utf-8'?><meta charset=windows-1251>",
            "<?xml version='1.0' encoding='windows-1251'?><html>",
        ] {
            assert_eq!(found(Html, file), Some("windows-1251"), "{file}");
        }
    }

    #[test]
    fn text_that_looks_like_a_declaration_is_none() {
        for file in [
            "",
            "<",
            "<meta",
            "<meta ",
            "<meta charset",
            "<meta charset=",
            "<meta charset=windows-1251",
            "<meta charset='windows-1251>",
            "<meta charset=>",
            "<meta charset>",
            "<meta charset='a b'>",
            "<meta charset='{{ charset }}'>",
            "<meta name=charset content=windows-1251>",
            "<meta content='text/html; charset=windows-1251'>",
            "<meta http-equiv=refresh content='0; url=?charset=windows-1251'>",
            "<meta http-equiv=Content-Type content=text/html>",
            "<meta http-equiv=Content-Type content='charset'>",
            "<meta http-equiv=Content-Type content='charset=\"windows-1251'>",
            "<!-- <meta charset=windows-1251>",
            "<a title='<meta charset=windows-1251>'>",
            "charset=windows-1251",
            "@charset \"windows-1251\";",
        ] {
            assert_eq!(found(Html, file), None, "{file}");
        }
    }

    #[test]
    fn xml_declares_its_encoding_in_the_first_line() {
        for (file, expected) in [
            (
                "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>",
                Some("ISO-8859-1"),
            ),
            (
                "<?xml version='1.0' encoding = 'koi8-r' standalone='no'?>",
                Some("koi8-r"),
            ),
            (
                "<?xml version='1.0'\r\nencoding='Shift_JIS'?><a/>",
                Some("Shift_JIS"),
            ),
            ("<?xml version='1.0' encoding='UTF-8'?>", Some("UTF-8")),
            ("<?xml version='1.0'?><a encoding='koi8-r'/>", None),
            ("<?xml version='1.0' encoding='koi8-r", None),
            ("<?xml version='1.0' encoding=koi8-r?>", None),
            (" <?xml version='1.0' encoding='koi8-r'?>", None),
            ("<meta charset='koi8-r'>", None),
        ] {
            assert_eq!(found(Xml, file), expected, "{file}");
        }
    }

    #[test]
    fn css_declares_its_encoding_with_exactly_these_bytes() {
        for (file, expected) in [
            ("@charset \"koi8-r\"; a{}", Some("koi8-r")),
            ("@charset \"utf-8\";", Some("utf-8")),
            ("@charset 'koi8-r';", None),
            ("@charset  \"koi8-r\";", None),
            ("@CHARSET \"koi8-r\";", None),
            ("@charset \"koi8-r\" ;", None),
            ("@charset \"koi8-r\"", None),
            (" @charset \"koi8-r\";", None),
            ("a{} @charset \"koi8-r\";", None),
        ] {
            assert_eq!(found(Css, file), expected, "{file}");
        }
    }

    #[test]
    fn a_byte_order_mark_applies_first() {
        let meta = b"<meta charset=koi8-r>".as_slice();
        for language in [Html, Xml, Css] {
            for (mark, expected) in [
                (b"\xef\xbb\xbf".as_slice(), b"utf-8".as_slice()),
                (b"\xff\xfe", b"utf-16le"),
                (b"\xfe\xff", b"utf-16be"),
                (b"<\0?\0x\0m\0", b"utf-16le"),
                (b"\0<\0?\0x\0m", b"utf-16be"),
            ] {
                assert_eq!(declared(language, &[mark, meta].concat()), Some(expected));
            }
        }
    }

    #[test]
    fn utf_16_in_ascii_is_utf_8() {
        assert_eq!(found(Html, "<meta charset=UTF-16LE>"), Some("utf-8"));
        assert_eq!(found(Xml, "<?xml encoding='utf-16'?>"), Some("utf-8"));
        assert_eq!(found(Css, "@charset \"unicode\";"), Some("utf-8"));
    }

    #[test]
    fn labels_are_the_same_without_case_and_by_other_names_of_utf_8() {
        for (one, other, expected) in [
            ("UTF-8", "utf-8", true),
            ("utf8", "UTF-8", true),
            ("KOI8-R", "koi8-r", true),
            ("koi8-r", "utf-8", false),
            ("utf-8", "utf-16le", false),
        ] {
            assert_eq!(is_same(one.as_bytes(), other.as_bytes()), expected, "{one}");
        }
    }

    #[test]
    fn only_the_first_1024_bytes_are_looked_at() {
        let meta = "<meta charset=koi8-r>";
        for (before, expected) in [
            (SNIFFED_BYTES - meta.len(), Some("koi8-r")),
            (SNIFFED_BYTES, None),
        ] {
            let file = " ".repeat(before) + meta;
            assert_eq!(found(Html, &file), expected, "{before}");
        }
        assert_eq!(found(Html, &(" ".repeat(SNIFFED_BYTES - 1) + meta)), None);
    }

    /// Bytes of which declarations are made, and others.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "<",
            ">",
            "/",
            "=",
            "'",
            "\"",
            " ",
            "\n",
            "!--",
            "-->",
            "?",
            "?xml",
            "meta",
            "charset",
            "content",
            "http-equiv",
            "content-type",
            "encoding",
            "utf-8",
            "koi8-r",
            ";",
            "@charset",
            "<meta charset=",
            "a",
            "\0",
            "\u{feff}",
        ]);
        let bytes = prop::collection::vec(any::<u8>(), 0..3);
        let piece = prop_oneof![9 => piece.prop_map(|text| text.as_bytes().to_vec()), 1 => bytes];
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_bytes_declare_a_label_or_nothing(file in pieces(), others: Vec<u8>) {
            for file in [&file, &others] {
                for language in [Html, Xml, Css] {
                    if let Some(found) = declared(language, file) {
                        prop_assert_eq!(label(found), Some(found));
                    }
                }
            }
        }

        /// What stands behind a declaration does not matter.
        #[test]
        fn the_first_declaration_counts(file in pieces(), more in pieces()) {
            if let Some(found) = declared(Html, &file) {
                let is_xml = html(&file).is_none();
                let longer = [file.as_slice(), &more].concat();
                if longer.len() <= SNIFFED_BYTES && !is_xml {
                    prop_assert_eq!(declared(Html, &longer), Some(found));
                }
            }
        }

        #[test]
        fn a_meta_element_is_found_behind_any_text(
            before in "[a-z ='\"/\n-]{0,200}",
            quote in "['\"]?",
            blanks in "[ \t\n/]{1,3}",
        ) {
            let file = format!("{before}<meta{blanks}charset={quote}koi8-r{quote}{blanks}>");
            let unquoted = quote.is_empty() && blanks.starts_with('/');
            let expected = (!unquoted).then_some("koi8-r");
            prop_assert_eq!(found(Html, &file), expected);
        }
    }
}
