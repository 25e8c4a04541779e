//! The words of a command line, split as a shell does. Nothing is expanded.

/// Splits at blanks outside of quotes. In single quotes each character is literal. A backslash
/// makes the next character literal; in double quotes only a double quote or another backslash
/// (POSIX sh, 2.2).
///
/// # Errors
/// If a quote is not closed, or the text ends in a backslash.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some('"'), '\\') if matches!(letters.peek(), Some('"' | '\\')) => {
                word.get_or_insert_default().extend(letters.next());
            }
            (Some(_), _) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '\\') => match letters.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err("it ends in a backslash".to_owned()),
            },
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(letter),
        }
    }
    if let Some(open) = quote {
        return Err(format!("a quote is not closed: {open}"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_by_a_shell() {
        let table: [(&str, &[&str]); 7] = [
            ("a  b\tc", &["a", "b", "c"]),
            ("a 'b c' d", &["a", "b c", "d"]),
            (r#"a "b \"c\" \n" d"#, &["a", r#"b "c" \n"#, "d"]),
            (r"a\ b c\'d", &["a b", "c'd"]),
            ("a '' \"\"", &["a", "", ""]),
            ("a='b c'd", &["a=b cd"]),
            ("  ", &[]),
        ];
        for (text, words) in table {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(split(text), Ok(words), "{text}");
        }
    }

    #[test]
    fn an_unfinished_word_is_an_error() {
        assert_eq!(split("a 'b"), Err("a quote is not closed: '".to_owned()));
        assert_eq!(split("a \"b"), Err("a quote is not closed: \"".to_owned()));
        assert_eq!(split("a\\"), Err("it ends in a backslash".to_owned()));
    }
}
