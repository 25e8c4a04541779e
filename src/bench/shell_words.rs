//! Room `bench`: which words has a command, as a shell would divide it? Without a shell: nothing is
//! expanded, and nothing but blanks divides.

/// Divides at blanks that stand outside of quotes. Inside single quotes everything is itself;
/// outside and in double quotes a backslash makes the next character itself (in double quotes only
/// a double quote or another backslash, as in POSIX sh).
///
/// # Errors
/// With what is missing at the end.
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
    fn words_are_divided_as_by_a_shell() {
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
    fn what_is_not_finished_is_an_error() {
        assert_eq!(split("a 'b"), Err("a quote is not closed: '".to_owned()));
        assert_eq!(split("a \"b"), Err("a quote is not closed: \"".to_owned()));
        assert_eq!(split("a\\"), Err("it ends in a backslash".to_owned()));
    }
}
