//! `oneloop diagram`: draws a trace as a sequence diagram, between the clients, the kernel and the
//! threads of the server.

mod record;
mod rows;
mod svg;

use clap::{ArgAction, Parser};
use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// The most rows and the most connections that a diagram has: more cannot be read.
const MAX_ROWS: usize = 500;
const MAX_CONNECTIONS: usize = 12;

/// Draw a trace as a sequence diagram
///
/// Reads a trace that was recorded with --trace-format json, and writes an SVG.
///
///   oneloop --trace trace.json --trace-format json
///   oneloop diagram trace.json --output diagram.svg
#[derive(Debug, Parser)]
#[command(
    name = "diagram",
    verbatim_doc_comment,
    disable_help_flag = true,
    max_term_width = 80
)]
pub struct Arguments {
    /// The trace; - is standard input
    #[arg(value_name = "TRACE")]
    trace: PathBuf,

    /// Write the diagram into this file; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,

    /// The heading of the diagram
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "Clients, kernel and server"
    )]
    title: String,

    /// Print help; -h is the short one
    #[arg(short, long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Draws the diagram.
///
/// # Errors
/// The trace cannot be read, is no trace, or has too many rows or connections for a diagram; the
/// output cannot be written.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let name = arguments.trace.display();
    let failed = |error: &dyn std::fmt::Display| format!("{name}: {error}");
    let text = input(&arguments.trace).map_err(|error| failed(&error))?;
    let diagram = draw(&text, &arguments.title).map_err(|error| failed(&error))?;
    if arguments.output.as_os_str() == "-" {
        io::stdout().write_all(diagram.as_bytes())?;
    } else {
        let output = arguments.output.display();
        fs::write(&arguments.output, diagram).map_err(|error| format!("{output}: {error}"))?;
        writeln!(io::stderr(), "wrote {output}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn input(path: &PathBuf) -> io::Result<String> {
    if path.as_os_str() != "-" {
        return fs::read_to_string(path);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// The diagram of a trace in the format `json`, as SVG.
///
/// # Errors
/// It is no such trace, has no connection, or too much for a diagram.
pub fn draw(trace: &str, title: &str) -> Result<String, String> {
    let records = record::read(trace)?;
    let ids: BTreeSet<_> = records
        .iter()
        .filter_map(|record| record.connection)
        .collect();
    let rows = rows::rows(&records);
    if ids.len() > MAX_CONNECTIONS || rows.len() > MAX_ROWS {
        return Err(format!(
            "{} connections and {} rows are too many for a diagram (at most {MAX_CONNECTIONS} and \
             {MAX_ROWS}); record less, or a part with --trace-filter",
            ids.len(),
            rows.len()
        ));
    }
    if rows.is_empty() {
        return Err("the trace has no connection to draw".to_owned());
    }
    Ok(svg::draw(&rows, title))
}

#[cfg(test)]
mod tests {
    use super::draw;

    /// Two connections of a loop: the first sends half a head, and the second is answered
    /// meanwhile.
    const TRACE: &str = r#"
{"us":5000.0,"iteration":1,"call":"poll","events":1,"waited_us":4000.0}
{"us":5010.0,"iteration":1,"connection":0,"call":"accept"}
{"us":5020.0,"iteration":1,"connection":0,"call":"recv","bytes":18,"took_us":5.0}
{"us":5022.0,"iteration":1,"connection":0,"call":"recv","called":false,"took_us":1.0}
{"us":5030.0,"iteration":1,"call":"end","worked_us":30.0}
{"us":5040.0,"iteration":2,"call":"poll","events":1,"waited_us":10.0}
{"us":5041.0,"iteration":2,"connection":0,"call":"event"}
{"us":5042.0,"iteration":2,"call":"end","worked_us":2.0}
{"us":205040.0,"iteration":3,"call":"poll","events":1,"waited_us":200000.0}
{"us":205050.0,"iteration":3,"connection":1,"call":"accept"}
{"us":205060.0,"iteration":3,"connection":1,"call":"recv","bytes":56,"took_us":9.0}
{"us":205060.0,"iteration":3,"connection":1,"call":"->","to":"Parsing","cause":"recv"}
{"us":205061.0,"iteration":3,"connection":1,"call":"request","line":"GET /<a> HTTP/1.1"}
{"us":205070.0,"iteration":3,"connection":1,"call":"respond","status":200}
{"us":205080.0,"iteration":3,"connection":1,"call":"send","bytes":326,"took_us":9.0}
{"us":205090.0,"iteration":3,"connection":1,"call":"close","reason":"Completed","body_bytes":23}
{"us":205100.0,"iteration":3,"call":"end","worked_us":60.0}
{"us":905100.0,"iteration":4,"call":"poll","events":0,"waited_us":700000.0}
{"us":905101.0,"iteration":4,"connection":0,"call":"->","to":"Closed","cause":"deadline"}
{"us":905102.0,"iteration":4,"connection":0,"call":"close","reason":"IdleTimeout","body_bytes":0}
{"us":905103.0,"iteration":4,"call":"end","worked_us":3.0}
{"us":999999.0,"iteration":5,"call":"poll","events":0,"waited_us":94896.0}
"#;

    /// The description is the diagram in words.
    fn description(svg: &str) -> &str {
        let (_, rest) = svg.split_once("<desc id=\"description\">").unwrap();
        rest.split_once("</desc>").unwrap().0
    }

    #[test]
    fn a_diagram_has_the_calls_in_their_order_and_leaves_out_what_did_nothing() {
        let svg = draw(TRACE.trim(), "Two clients").unwrap();
        let expected = "\
0.0 ms, loop, server: poll: 1 event after 4.0 ms
0.0 ms, client 0, server: accept
0.0 ms, client 0, server: recv: 18 bytes
0.0 ms, loop, server: poll …
200.0 ms, loop, server: poll: 1 event after 200.0 ms
200.1 ms, client 1, server: accept
200.1 ms, client 1, server: recv: 56 bytes → Parsing
200.1 ms, client 1, server: GET /&lt;a&gt; HTTP/1.1 → 200
200.1 ms, client 1, server: send: 326 bytes
200.1 ms, client 1, server: close: Completed
200.1 ms, loop, server: poll …
900.1 ms, loop, server: poll: 0 events after 700.0 ms
900.1 ms, client 0, server: deadline → Closed
900.1 ms, client 0, server: close: IdleTimeout
";
        assert_eq!(description(&svg), expected);
        assert!(svg.contains("<title id=\"title\">Two clients</title>"));
    }

    #[test]
    fn what_a_blocking_thread_gets_from_memory_is_no_row() {
        let trace = r#"
{"us":10.0,"thread":7,"connection":0,"call":"accept"}
{"us":20.0,"thread":7,"connection":0,"call":"recv","called":false,"took_us":1.0}
{"us":30020.0,"thread":7,"connection":0,"call":"wait","bytes":50,"took_us":30000.0}
{"us":30021.0,"thread":7,"connection":0,"call":"recv","bytes":50,"took_us":1.0}
{"us":30021.0,"thread":7,"connection":0,"call":"->","to":"Parsing","cause":"recv"}
"#;
        let expected = "\
0.0 ms, client 0, server: accept
0.0 ms, client 0, server: wait …
30.0 ms, client 0, server: wait: 50 bytes after 30.0 ms → Parsing
";
        assert_eq!(description(&draw(trace.trim(), "").unwrap()), expected);
    }

    #[test]
    fn a_trace_that_cannot_be_drawn_is_an_error_with_the_reason() {
        let error = |trace: &str| draw(trace, "").unwrap_err();
        assert!(
            error("{\"us\":1,\"call\":\"end\"}\n{}\n")
                .starts_with("line 2 is not a record of --trace-format json: ")
        );
        assert_eq!(error(""), "the trace has no connection to draw");
        let many: String = (0..13)
            .map(|id| format!("{{\"us\":1,\"connection\":{id},\"call\":\"accept\"}}\n"))
            .collect();
        assert_eq!(
            error(&many),
            "13 connections and 13 rows are too many for a diagram (at most 12 and 500); record \
             less, or a part with --trace-filter"
        );
    }
}
