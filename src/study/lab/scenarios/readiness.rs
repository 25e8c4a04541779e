//! Labs about events: what they say, what they do not say, and when the loop may sleep.

use super::pause;
use crate::study::lab::client::{self, Client, get};
use crate::study::lab::stage::Stage;
use std::io;
use std::thread;
use std::time::Duration;

/// Responses that need more than one run of their connection.
pub fn forgotten_connection(stage: &mut Stage<'_>) -> io::Result<()> {
    const MEANING: &str = "The connection could have gone on: its socket was not full. No event \
                           comes for it, so it waits for ever.";
    let server = stage.server(&[])?;
    let mut client = Client::connect(server.address)?;
    stage.see(
        "downloads 3,000,000 bytes",
        "200, 3,000,000 bytes",
        client.asks_for("/big.bin"),
        MEANING,
    );
    let mut other = Client::connect(server.address)?;
    stage.see(
        "asks for a small file meanwhile",
        "200, 20 bytes",
        other.asks_for("/page.txt"),
        "The other connections do not notice anything.",
    );
    let mut client = Client::connect(server.address)?;
    client.send(get("/page.txt").repeat(200))?;
    stage.see(
        "sends 200 requests in one write",
        "200 of 200 are answered",
        client.describe_responses(200),
        MEANING,
    );
    stage.see(
        "reads all, and is idle",
        "asleep",
        server.activity()?,
        "A connection that is blocked is not on the run queue: an event tells when it can go on.",
    );
    Ok(())
}

/// Many connections of which one event tells.
pub fn one_accept(stage: &mut Stage<'_>) -> io::Result<()> {
    const MEANING: &str = "An edge tells that the queue of the listening socket is no longer \
                           empty, not how many connections are in it. No other edge comes until \
                           it was empty.";
    let close = get("/page.txt").replace("lab\r\n", "lab\r\nConnection: close\r\n");
    let cases = [
        (20, get("/page.txt"), ""),
        (300, close, ", each for one request"),
    ];
    for (count, request, which) in cases {
        let server = stage.server(&[])?;
        server.freeze()?;
        let mut clients = Vec::new();
        for _ in 0..count {
            let mut client = Client::connect(server.address)?;
            client.send(&request)?;
            clients.push(client);
        }
        server.thaw()?;
        stage.see(
            format!("is one of {count} that connect at the same time{which}"),
            format!("{count} of {count} are answered"),
            client::answered(&mut clients),
            MEANING,
        );
    }
    Ok(())
}

/// Clients that do not read.
pub fn full_socket(stage: &mut Stage<'_>) -> io::Result<()> {
    const BUSY: &str = "A full socket is announced when it has space again. Until then there is \
                        nothing to do, and the loop sleeps.";
    const LOST: &str = "A full socket is no error. The connection goes on when the client reads.";
    let server = stage.server(&[])?;
    let mut client = Client::slow(server.address)?;
    client.send(get("/huge.bin"))?;
    client.receives_within(client.time_limit);
    stage.see(
        "asks for 64 MiB and does not read them",
        "asleep",
        server.activity()?,
        BUSY,
    );
    stage.see(
        "then reads them",
        "200, 67,108,864 bytes",
        client.describe_response(),
        LOST,
    );
    let mut client = Client::slow(server.address)?;
    client.send(get("/leaf.txt").repeat(800))?;
    client.receives_within(client.time_limit);
    stage.see(
        "asks 800 times for 15,000 bytes in one write and does not read them",
        "asleep",
        server.activity()?,
        BUSY,
    );
    stage.see(
        "then reads them",
        "800 of 800 are answered",
        client.describe_responses(800),
        LOST,
    );
    Ok(())
}

/// A loop that sleeps although it has something to do, or does not sleep although it has not.
pub fn long_sleep(stage: &mut Stage<'_>) -> io::Result<()> {
    let server = stage.server(&[])?;
    let mut client = Client::connect(server.address)?;
    stage.see(
        "downloads 64 MiB, and no other client is there",
        "200, 67,108,864 bytes",
        client.asks_for("/huge.bin"),
        "The connection is on the run queue, and the loop waits for an event. It may sleep only \
         while that queue is empty.",
    );
    stage.see(
        "keeps its connection open and does nothing",
        "asleep",
        server.activity()?,
        "The run queue is empty: nothing happens before an event or a deadline.",
    );
    Ok(())
}

/// Data and the end of the stream in one event.
pub fn end_of_stream(stage: &mut Stage<'_>) -> io::Result<()> {
    let server = stage.server(&[])?;
    let mut client = Client::connect(server.address)?;
    client.asks_for("/page.txt");
    server.freeze()?;
    client.send(get("/page.txt"))?;
    client.finish()?;
    server.thaw()?;
    let observed = client.describe_response();
    let (_, end) = client.rest();
    stage.see(
        "sends its second request and closes its direction at once",
        "200, 20 bytes, then the connection is closed",
        format!("{observed}, then {end}"),
        "Request and end of the stream arrived together, and one event reported both. The end must \
         be read, too, and not before the request.",
    );
    let mut client = Client::connect(server.address)?;
    client.asks_for("/page.txt");
    thread::sleep(Duration::from_secs(3));
    stage.see(
        "waits for 3 s between two requests",
        "200, 20 bytes",
        client.asks_for("/page.txt"),
        "A client that is silent for some seconds is still there.",
    );
    Ok(())
}

/// More clients than descriptors.
pub fn no_descriptor(stage: &mut Stage<'_>) -> io::Result<()> {
    const DESCRIPTORS: u32 = 40;
    let server = stage.server_with_descriptors(&["--max-connections", "1000"], DESCRIPTORS)?;
    let request = get("/page.txt");
    let (half, rest) = request.split_at(16);
    let mut clients = Vec::new();
    for _ in 0..60 {
        let mut client = Client::connect(server.address)?;
        client.send(half)?;
        clients.push(client);
    }
    stage.see(
        "is one of 60 that have sent half a request, to a server that may have 40 descriptors",
        "asleep",
        server.activity()?,
        "accept(2) fails as long as no descriptor is free. Trying again at once changes nothing \
         and takes a whole processor.",
    );
    let mut first = clients.remove(0);
    let busy = "OPTIONS * HTTP/1.1\r\nHost: lab\r\n\r\n";
    first.send(rest)?;
    let _ = first.response();
    let start = crate::clock::Now::read().instant;
    let mut answered = 0;
    for _ in 0..40 {
        let sent = first.send(busy);
        answered += usize::from(sent.is_ok() && first.response().is_ok());
    }
    let time = crate::clock::Now::read().instant - start;
    let observed = match time < Duration::from_secs(3) {
        true => format!("{answered} of 40 are answered within 3 s"),
        false => format!(
            "{answered} of 40 are answered, in {:.1} s",
            time.as_secs_f64()
        ),
    };
    stage.see(
        "is connected already and sends 40 requests, one after the other",
        "40 of 40 are answered within 3 s",
        observed,
        "The connections that are open have their descriptors. They need not wait for new ones.",
    );
    clients.drain(..30);
    for client in &mut clients {
        // The server may be gone.
        let _ = client.send(rest);
    }
    stage.see(
        "is one of the other 29, after 30 have left",
        "29 of 29 are answered",
        client::answered(&mut clients),
        "The connections that could not be accepted are still in the queue. As they were announced \
         before, no event tells of them again.",
    );
    Ok(())
}

/// A request with urgent data in the middle.
pub fn urgent_byte(stage: &mut Stage<'_>) -> io::Result<()> {
    const MEANING: &str = "A read ends at the mark of urgent data (tcp(7)), although more has \
                           arrived. No other event tells of that.";
    let server = stage.server(&[])?;
    let request = get("/page.txt");
    let (first, rest) = request.split_at(16);
    let mut client = Client::connect(server.address)?;
    client.send(first)?;
    client.send_urgent(b'!')?;
    pause();
    client.send(rest)?;
    stage.see(
        "sends half a request and an urgent byte, and the rest a moment later",
        "200, 20 bytes",
        client.describe_response(),
        MEANING,
    );
    server.freeze()?;
    client.send(first)?;
    client.send_urgent(b'!')?;
    client.send(rest)?;
    server.thaw()?;
    stage.see(
        "sends all three at once, while the server is busy",
        "200, 20 bytes",
        client.describe_response(),
        MEANING,
    );
    client.send(first)?;
    client.send_urgent(b'!')?;
    pause();
    stage.see(
        "sends half a request and an urgent byte, and then nothing",
        "asleep",
        server.activity()?,
        "The urgent byte is announced once. It is no reason to read again and again.",
    );
    Ok(())
}
