//! Source text without comments, literals and tests. They become blanks, and line ends stay, so an
//! offset is the same in the original and in the result.

/// `text` with its comments and its string, byte and character literals blanked.
pub fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        match comment_or_literal(text, at) {
            Some(end) => {
                blank(&mut code[at..end]);
                at = end;
            }
            None => at += 1,
        }
    }
    String::from_utf8(code).expect("whole characters are blanked")
}

/// `code` with every item under `#[cfg(test)]` blanked, the attribute too.
pub fn without_tests(code: &str) -> String {
    let mut kept = code.as_bytes().to_vec();
    for (start, end) in test_items(code) {
        blank(&mut kept[start..end]);
    }
    String::from_utf8(kept).expect("whole characters are blanked")
}

/// The start and end of each item under `#[cfg(test)]`, with the attribute.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let starts = code.match_indices(ATTRIBUTE).map(|(start, _)| start);
    starts
        .map(|start| (start, item_end(code, start + ATTRIBUTE.len())))
        .collect()
}

/// The end of the item that begins at `start`: after its `;` or the `}` of its body.
pub fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_i32;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth < 0 || (depth == 0 && matches!(byte, b';' | b'}')) {
            return at + 1;
        }
    }
    code.len()
}

/// The identifiers and keywords of `code`, with their offsets.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + code[rest..].find(in_word)?;
        let length = code[start..].find(|c| !in_word(c));
        rest = length.map_or(code.len(), |length| start + length);
        Some((start, &code[start..rest]))
    })
}

/// Whether `c` may be part of an identifier.
pub fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The end of the comment or literal that begins at `at`, if one does.
fn comment_or_literal(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let begins = |prefix: &[u8]| bytes[at..].starts_with(prefix);
    if begins(b"//") {
        return Some(find(bytes, at, b"\n").unwrap_or(bytes.len()));
    }
    if begins(b"/*") {
        return Some(block_comment(bytes, at));
    }
    match bytes[at] {
        b'"' => Some(quoted(bytes, at, b'"')),
        b'\'' if is_character(text, at) => Some(quoted(bytes, at, b'\'')),
        b'r' | b'b' | b'c' if at == 0 || !in_word(bytes[at - 1].into()) => raw_string(bytes, at),
        _ => None,
    }
}

/// Block comments nest.
fn block_comment(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The end of a literal whose closing quote may be escaped.
fn quoted(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    bytes.len().min(at + 1)
}

/// `r"..."`, `br#"..."#` and the like; not the raw identifier `r#type`.
fn raw_string(bytes: &[u8], start: usize) -> Option<usize> {
    let r = start + usize::from(bytes[start] != b'r');
    if bytes.get(r) != Some(&b'r') {
        return None;
    }
    let hashes = bytes[r + 1..]
        .iter()
        .take_while(|&&byte| byte == b'#')
        .count();
    let open = r + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let close = [b"\"", "#".repeat(hashes).as_bytes()].concat();
    let end = find(bytes, open + 1, &close).map(|found| found + close.len());
    Some(end.unwrap_or(bytes.len()))
}

/// Whether the `'` at `at` opens a character, not a lifetime: `'a'` or `'\n'`, not `'a`.
fn is_character(text: &str, at: usize) -> bool {
    let mut following = text[at + 1..].chars();
    following.next() == Some('\\') || following.next() == Some('\'')
}

fn find(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let found = bytes[from..]
        .windows(wanted.len())
        .position(|window| window == wanted)?;
    Some(from + found)
}

fn blank(bytes: &mut [u8]) {
    bytes
        .iter_mut()
        .filter(|byte| **byte != b'\n')
        .for_each(|byte| *byte = b' ');
}

#[test]
fn comments_and_literals_become_blanks_of_the_same_length() {
    // The part between ‹ and › is to be blanked.
    let samples = [
        "a ‹// b›\nc",
        "a ‹/* b /* c */ d */› e /",
        "‹/* ›\n‹ // */›x",
        r#"f(‹"a \" // b"›, c)"#,
        r#"f(‹"\\"›, c)"#,
        r###"f(‹r#"a " b"#›, c, ‹r##"a"# "##›, d)"###,
        r#"f(‹br"\"›, b‹"\""›, b‹'"'›)"#,
        r#"r#type + hour‹"x"›"#,
        r#"f(‹'"'›, ‹'\''›, ‹'\\'›, ‹'{'›, ‹'é'›)"#,
        "fn f<'a>(x: &'a str, y: &'static str) -> A<'a, 'a>",
        "x = ‹\"unclosed›",
    ];
    for sample in samples {
        let pieces: Vec<_> = sample.split(['‹', '›']).collect();
        let blanked = |(index, piece): (usize, &&str)| match index % 2 {
            0 => piece.to_string(),
            _ => " ".repeat(piece.len()),
        };
        let code: String = pieces.iter().enumerate().map(blanked).collect();
        assert_eq!(code_of(&pieces.concat()), code, "{sample}");
    }
}

#[test]
fn an_item_under_cfg_test_is_blanked_to_its_end_and_no_further() {
    let samples = [
        ("a #[cfg(test)] mod t { b { } } c", "a c"),
        ("a #[cfg(test)] mod t; c", "a c"),
        ("a #[cfg(test)] fn f(x: [u8; 2]) -> [u8; 3] { b } c", "a c"),
        ("a #[cfg(test)] #[inline] const X: [u8; 3] = y; c", "a c"),
        ("a { #[cfg(test)] x: u8 } c", "a { c"),
        (
            "a #[cfg(unix)] mod t { b } c",
            "a #[cfg(unix)] mod t { b } c",
        ),
    ];
    for (code, kept) in samples {
        let words: Vec<_> = kept.split_whitespace().collect();
        assert_eq!(
            without_tests(code).split_whitespace().collect::<Vec<_>>(),
            words,
            "{code}"
        );
    }
}

#[test]
fn words_are_whole_identifiers() {
    let found: Vec<_> = words("a_b::c1(d) 'e é").collect();
    assert_eq!(
        found,
        [(0, "a_b"), (5, "c1"), (8, "d"), (12, "e"), (14, "é")]
    );
}
