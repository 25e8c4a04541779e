//! Labs about sending: what the kernel takes, and what is left.

use crate::study::lab::client::{Client, get, grouped};
use crate::study::lab::stage::Stage;
use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

/// The numbers in a file that no socket takes at once: 16 MiB.
const NUMBERS: u32 = 4 << 20;

/// A file that the kernel takes in parts.
pub fn part_of_a_file(stage: &mut Stage<'_>) -> io::Result<()> {
    let numbers: Vec<u8> = (0..NUMBERS).flat_map(u32::to_be_bytes).collect();
    fs::write(stage.file("numbers.bin"), numbers)?;
    let server = stage.server(&[])?;
    let mut client = Client::slow(server.address)?;
    client.send(get("/numbers.bin"))?;
    client.receives_within(client.time_limit);
    // Now the server has filled the buffers of the kernel.
    thread::sleep(Duration::from_millis(500));
    let mut other = Client::connect(server.address)?;
    stage.see(
        "asks for a small file, while another one does not read its large file",
        "200, 20 bytes",
        other.asks_for("/page.txt"),
        "A full socket is waited for. Until it is writable, the loop serves others.",
    );
    stage.see(
        "downloads 16 MiB of numbers, and begins to read after half a second",
        "200, 16,777,216 bytes, each in its place",
        describe_numbers(&mut client),
        "A call that sends returns how many bytes the socket has taken. The others must be sent \
         by a later call, once each and in their order.",
    );
    stage.see(
        "then asks for a small file on the same connection",
        "200, 20 bytes",
        client.asks_for("/page.txt"),
        "The next response begins where the announced length of the body ends.",
    );
    let mut client = Client::connect(server.address)?;
    stage.see(
        "downloads 3,000,000 bytes, and reads fast",
        "200, 3,000,000 bytes",
        client.asks_for("/big.bin"),
        "The server stops in the middle of a file when its budget for this iteration is used up, \
         too. No event follows from that.",
    );
    Ok(())
}

/// A kernel that takes parts, which no client can bring about.
pub fn simulated_kernel(stage: &mut Stage<'_>) -> io::Result<()> {
    let server = stage.server(&[])?;
    let mut client = Client::slow(server.address)?;
    client.send([get("/big.bin"), get("/leaf.txt").repeat(200)].concat())?;
    // Now the server has filled the buffers of the kernel.
    thread::sleep(Duration::from_millis(500));
    stage.see(
        "asks for many files at once, and reads slowly",
        "201 of 201 are answered",
        client.describe_responses(201),
        "A full socket is waited for, and the connection goes on when it is writable.",
    );
    stage.see(
        "reads all, and is idle",
        "asleep",
        server.activity()?,
        "The loop has nothing to do, and sleeps.",
    );
    let seen = match stage.simulate()? {
        None => "no rule is broken".to_owned(),
        Some(report) => format!("a rule is broken\n{report}"),
    };
    stage.see(
        "on a simulated kernel plays 300 scenarios (cargo test --test sim known_seeds)",
        "no rule is broken",
        seen,
        "The rules are in docs/simulation.md. Above are the calls of the smallest scenario that \
         breaks one, and the scenario.",
    );
    Ok(())
}

/// Says what came of the file with the numbers.
fn describe_numbers(client: &mut Client) -> String {
    let head = match client.head() {
        Ok(head) => head,
        Err(end) => return end.to_string(),
    };
    let mut expected = (0..NUMBERS).flat_map(u32::to_be_bytes);
    let mut count = 0;
    while count < head.length {
        let (bytes, end) = client.some(head.length - count);
        if let Some(wrong) = bytes.iter().position(|byte| expected.next() != Some(*byte)) {
            let at = grouped(count + wrong as u64);
            return format!(
                "{}, and from byte {at} on, bytes of another place",
                head.status
            );
        }
        count += bytes.len() as u64;
        if let Some(end) = end {
            let (count, length) = (grouped(count), grouped(head.length));
            return format!("{}, {count} of {length} bytes, then {end}", head.status);
        }
    }
    format!(
        "{}, {} bytes, each in its place",
        head.status,
        grouped(count)
    )
}
