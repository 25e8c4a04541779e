//! JSON strings (RFC 8259 7).

use std::io::Write;

/// Appends the inside of a JSON string in UTF-8. Bytes that are not UTF-8 become U+FFFD.
pub fn put_json_utf8(text: &[u8], out: &mut Vec<u8>) {
    put(text, out, |character| !character.is_control());
}

/// The same in ASCII: other characters are escaped as their UTF-16 code units.
pub fn put_json_ascii(text: &[u8], out: &mut Vec<u8>) {
    put(text, out, |character| matches!(character, ' '..='~'));
}

fn put(text: &[u8], out: &mut Vec<u8>, is_plain: fn(char) -> bool) {
    let is_plain_ascii = |&byte: &u8| matches!(byte, b' '..=b'~') && !b"\"\\".contains(&byte);
    // Nearly every string.
    if text.iter().all(is_plain_ascii) {
        out.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            put_character(character, out, is_plain);
        }
        if !chunk.invalid().is_empty() {
            put_character(char::REPLACEMENT_CHARACTER, out, is_plain);
        }
    }
}

fn put_character(character: char, out: &mut Vec<u8>, is_plain: fn(char) -> bool) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        _ if is_plain(character) => {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let written = write!(out, "\\u{unit:04x}");
                assert!(written.is_ok(), "writing to a vector does not fail");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn inside(put: fn(&[u8], &mut Vec<u8>), text: &[u8]) -> String {
        let mut out = Vec::new();
        put(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn control_characters_are_escaped_and_others_only_in_ascii() {
        for (text, utf8, ascii) in [
            ("a \"b\\", r#"a \"b\\"#, r#"a \"b\\"#),
            ("\n\x7f\u{85}", r"\u000a\u007f\u0085", r"\u000a\u007f\u0085"),
            ("\u{e9}\u{1f600}", "\u{e9}\u{1f600}", r"\u00e9\ud83d\ude00"),
        ] {
            assert_eq!(inside(put_json_utf8, text.as_bytes()), utf8);
            assert_eq!(inside(put_json_ascii, text.as_bytes()), ascii);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_string(text in prop::collection::vec(any::<u8>(), 0..40)) {
            for put in [put_json_utf8, put_json_ascii] {
                let json = inside(put, &text);
                let parsed: String = serde_json::from_str(&format!("\"{json}\"")).unwrap();
                prop_assert_eq!(parsed, String::from_utf8_lossy(&text));
            }
            prop_assert!(inside(put_json_ascii, &text).is_ascii());
        }
    }
}
