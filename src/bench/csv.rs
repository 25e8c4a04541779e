//! Room `bench`: a run for a spreadsheet. In the long form: a line for each number of each sample,
//! so that nothing has to be known of the columns beforehand. Quoted as RFC 4180 says.

use super::metrics::metric_named;
use super::record::{Pass, Run, Sample};
use std::io::{self, Write};

/// The first line.
const HEADER: [&str; 12] = [
    "cell", "workload", "arm", "round", "pass", "at_s", "valid", "metric", "unit", "value",
    "limiter", "reason",
];

/// Writes a run: first the metrics of each sample, then its system calls (`call.read`) and its
/// errors (`error.main.reset`).
///
/// # Errors
/// If `to` cannot be written to.
pub fn write(run: &Run, to: &mut dyn Write) -> io::Result<()> {
    line(to, &HEADER.map(str::to_owned))?;
    for sample in &run.samples {
        let metrics = sample.metrics.iter();
        let metrics = metrics.map(|(name, value)| (name.clone(), number(*value)));
        let calls = sample.syscalls.iter();
        let calls = calls.map(|(name, value)| (format!("call.{name}"), number(*value)));
        let errors = sample.errors.iter();
        let errors = errors.map(|(name, count)| (format!("error.{name}"), count.to_string()));
        for (name, value) in metrics.chain(calls).chain(errors) {
            row(run, sample, &name, value, to)?;
        }
    }
    Ok(())
}

fn row(
    run: &Run,
    sample: &Sample,
    name: &str,
    value: String,
    to: &mut dyn Write,
) -> io::Result<()> {
    let cell = run.cells.get(sample.cell);
    let arm = run.arms.get(sample.arm);
    let unit = metric_named(name).map_or("", |metric| metric.unit);
    let pass = match sample.pass {
        Pass::Measured => "measured",
        Pass::Capacity => "capacity",
        Pass::Calls => "calls",
    };
    let fields = [
        cell.map_or_else(|| sample.cell.to_string(), |cell| cell.name.clone()),
        cell.map_or_else(String::new, |cell| cell.workload.clone()),
        arm.map_or_else(|| sample.arm.to_string(), |arm| arm.name.clone()),
        sample.round.to_string(),
        pass.to_owned(),
        number(sample.at),
        sample.invalid.is_empty().to_string(),
        name.to_owned(),
        unit.to_owned(),
        value,
        sample.limiter.clone(),
        sample.invalid.join("; "),
    ];
    line(to, &fields)
}

/// So that it reads as the same number again. What is none is empty.
fn number(value: f64) -> String {
    if value.is_finite() {
        value.to_string()
    } else {
        String::new()
    }
}

/// RFC 4180, 2: fields with commas, quotes or line breaks stand in quotes, quotes in them twice.
/// Spreadsheets compute what begins with one of `=+-@`, so a text that does gets a quote before it.
fn line(to: &mut dyn Write, fields: &[String]) -> io::Result<()> {
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            to.write_all(b",")?;
        }
        let computes = field.starts_with(['=', '+', '-', '@']) && field.parse::<f64>().is_err();
        let field = if computes {
            format!("'{field}")
        } else {
            field.clone()
        };
        if field.contains([',', '"', '\r', '\n']) {
            write!(to, "\"{}\"", field.replace('"', "\"\""))?;
        } else {
            to.write_all(field.as_bytes())?;
        }
    }
    to.write_all(b"\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::sample_runs::{add, run};

    fn written(run: &Run) -> String {
        let mut bytes = Vec::new();
        write(run, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn each_number_of_each_sample_has_a_line() {
        let mut run = run(&[("keepalive c=64", "throughput")]);
        add(
            &mut run,
            (0, 2, 5),
            &[("cpu", 11.25), ("throughput", 84_000.0)],
        );
        let sample = run.samples.last_mut().unwrap();
        sample.at = 12.5;
        sample.invalid = vec!["steal".to_owned(), "lag, 3 ms".to_owned()];
        sample.syscalls.insert("recvfrom".to_owned(), 1.0);
        sample.errors.insert("main.reset".to_owned(), 3);
        let before = "keepalive c=64,keepalive,thread,5,measured,12.5,false";
        let after = "server processor 100 %,\"steal; lag, 3 ms\"\r\n";
        let expected = format!(
            "cell,workload,arm,round,pass,at_s,valid,metric,unit,value,limiter,reason\r\n\
             {before},cpu,us,11.25,{after}\
             {before},throughput,/s,84000,{after}\
             {before},call.recvfrom,,1,{after}\
             {before},error.main.reset,,3,{after}"
        );
        assert_eq!(written(&run), expected);
    }

    #[test]
    fn quotes_and_line_breaks_stay_in_their_field() {
        let mut bytes = Vec::new();
        let fields = ["a\"b", "c\nd", "=1+1", "-0.5", "", "é"].map(str::to_owned);
        line(&mut bytes, &fields).unwrap();
        let told = String::from_utf8(bytes).unwrap();
        assert_eq!(told, "\"a\"\"b\",\"c\nd\",'=1+1,-0.5,,é\r\n");
    }

    #[test]
    fn what_does_not_exist_is_named_by_its_number_and_what_is_no_number_is_empty() {
        let mut run = run(&[]);
        add(&mut run, (7, 8, 0), &[("cpu", f64::NAN)]);
        let told = written(&run);
        let last = told.lines().last().unwrap();
        assert_eq!(
            last,
            "7,,8,0,measured,0,true,cpu,us,,server processor 100 %,"
        );
    }
}
