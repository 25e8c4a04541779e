//! Labs about the end: of a connection, of a file, of the server.

use crate::study::lab::client::{Client, End, broken, get};
use crate::study::lab::stage::Stage;
use rustix::process::Signal;
use std::fs::OpenOptions;
use std::io;
use std::thread;
use std::time::Duration;

/// A client that still sends when it has been answered.
pub fn lost_response(stage: &mut Stage<'_>) -> io::Result<()> {
    let upload = |length: usize| {
        format!("POST /page.txt HTTP/1.1\r\nHost: lab\r\nContent-Length: {length}\r\n\r\n")
    };
    let server = stage.server(&["--linger-timeout", "30"])?;
    let mut client = Client::connect(server.address)?;
    client.send(upload(100_000) + &"x".repeat(1000))?;
    client.receives_within(client.time_limit);
    let mut result = "the upload is taken".to_owned();
    for _ in 0..33 {
        thread::sleep(Duration::from_millis(30));
        if let Err(error) = client.send("x".repeat(3000)) {
            result = broken(&error);
            break;
        }
    }
    let status = match client.head() {
        Ok(head) => head.status,
        Err(end) => end.to_string(),
    };
    stage.see(
        "uploads 100,000 bytes; the server refuses them after the first 1,000",
        "405, and the upload is taken",
        format!("{status}, and {result}"),
        "A socket that is closed while bytes arrive answers them with a reset. Many clients then \
         report the reset, and drop the response that explains it.",
    );
    let mut client = Client::connect(server.address)?;
    client.send(upload(10) + "0123456789")?;
    let observed = client
        .response()
        .map_or_else(|end| end.to_string(), |response| response.head.status);
    let (_, end) = client.rest();
    stage.see(
        "uploads 10 bytes and reads until the end of the stream",
        "405, then the connection is closed",
        format!("{observed}, then {end}"),
        "The last response is sent. The client must learn that nothing follows, although the \
         server goes on reading.",
    );
    let server = stage.server(&["--linger-timeout", "1"])?;
    let mut client = Client::connect(server.address)?;
    client.send(upload(100_000))?;
    client.receives_within(client.time_limit);
    let mut result = "it may go on for more than 8 s";
    for _ in 0..160 {
        thread::sleep(Duration::from_millis(50));
        if client.send("x").is_err() {
            result = "it is cut off";
            break;
        }
    }
    stage.see(
        "goes on uploading for ever, a byte at a time (the linger timeout is 1 s)",
        "it is cut off",
        result,
        "A client that never ends keeps its slot. How long a closing connection may go on must \
         have a limit that progress does not extend.",
    );
    Ok(())
}

/// A file that shrinks while it is sent.
pub fn file_that_shrinks(stage: &mut Stage<'_>) -> io::Result<()> {
    let server = stage.server(&[])?;
    let path = stage.file("shrinks.bin");
    let file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    let cases = [
        (
            "downloads a file that another program empties meanwhile",
            None,
        ),
        (
            "downloads such a file, and has sent another request",
            Some(get("/page.txt")),
        ),
    ];
    for (action, next) in cases {
        file.set_len(length)?;
        let mut client = Client::slow(server.address)?;
        client.send(get("/shrinks.bin"))?;
        client.receives_within(client.time_limit);
        // Now the server waits for the client.
        thread::sleep(Duration::from_millis(500));
        file.set_len(0)?;
        client.send(next.unwrap_or_default())?;
        stage.see(
            action,
            "a part of the body, then the connection is reset",
            describe_shrinking_file(&mut client),
            "The server has announced 8,388,608 bytes and cannot send them. It must not send \
             anything else in their place, and the client must see at once that the body is not \
             complete.",
        );
    }
    Ok(())
}

/// Says what came of a body that has zeros only.
fn describe_shrinking_file(client: &mut Client) -> String {
    let mut missing = match client.head() {
        Ok(head) => head.length,
        Err(end) => return end.to_string(),
    };
    let mut text = Vec::new();
    let end = loop {
        let (bytes, end) = client.some(missing);
        missing -= bytes.len() as u64;
        text.extend(bytes.into_iter().filter(|byte| *byte != 0));
        if end.is_some() || missing == 0 {
            break end;
        }
    };
    match end {
        _ if text.starts_with(b"HTTP/1.1 ") => "the next response inside of the body".to_owned(),
        None => "all of the announced bytes".to_owned(),
        Some(End::Closed) => "a part of the body, then an orderly end".to_owned(),
        Some(end) => format!("a part of the body, then {end}"),
    }
}

/// SIGTERM while a response is sent.
pub fn hasty_stop(stage: &mut Stage<'_>) -> io::Result<()> {
    let mut server = stage.server(&["--grace", "25"])?;
    let mut slow = Client::slow(server.address)?;
    slow.send(get("/huge.bin"))?;
    slow.receives_within(slow.time_limit);
    let mut idle = Client::connect(server.address)?;
    idle.asks_for("/page.txt");
    let request = get("/page.txt");
    let (half, rest) = request.split_at(16);
    let mut late = Client::connect(server.address)?;
    late.send(half)?;
    thread::sleep(Duration::from_millis(500));
    server.signal(Signal::TERM)?;
    thread::sleep(Duration::from_millis(500));
    // Its connection may be gone.
    let _ = late.send(rest);
    let observed = match late.response() {
        Ok(response) if response.head.is_last => format!("{response}, the last"),
        Ok(response) => format!("{response}, not the last"),
        Err(end) => end.to_string(),
    };
    stage.see(
        "has sent half a request when the server is asked to stop, and sends the rest",
        "200, 20 bytes, the last",
        observed,
        "A request that has begun is answered. The response says `Connection: close`, so that the \
         client sends no other.",
    );
    thread::sleep(Duration::from_secs(4));
    stage.see(
        "is in the middle of a download, and reads the rest some seconds later",
        "200, 67,108,864 bytes",
        slow.describe_response(),
        "A response that is being sent may take until the grace period of 25 s is over.",
    );
    let has_ended = server.wait(Duration::from_secs(10))?.is_some();
    stage.see(
        "is idle, while the others have got their responses",
        "the server ends",
        if has_ended {
            "the server ends"
        } else {
            "the server waits for it"
        },
        "A connection without a request must not hold up the stop.",
    );
    Ok(())
}
