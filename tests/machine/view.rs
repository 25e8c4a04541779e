//! The table of the live view is what the scheduler has.

use crate::handler::Pages;
use crate::memory_transport::{MemoryTransport, Peer, pair};
use crate::seconds;
use oneloop::admin::{AdminHandler, AdminState, Metrics};
use oneloop::clock::Now;
use oneloop::connection::StateName;
use oneloop::event_loop::scheduler::Scheduler;
use oneloop::handler::{Handler, ListenerInfo, Role};
use oneloop::limits::Limits;
use oneloop::probe::{EventFlags, Origin};
use oneloop::study::view::View;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A loop with a live view, and the page of an operator.
struct Viewed {
    scheduler: Scheduler<MemoryTransport, AdminState<usize>, (Metrics, View)>,
    handler: AdminHandler<Pages, View>,
    metrics: Metrics,
    now: Now,
    peers: Vec<(usize, Peer)>,
    operator: Peer,
    /// The number and the run of the latest snapshot, and the cells as its reader knows them: the
    /// state, and whether it is an admin connection.
    latest: (u64, String),
    cells: BTreeMap<usize, (u8, bool)>,
}

impl Viewed {
    fn new() -> Self {
        let (metrics, view) = (Metrics::new(|| 0), View::new());
        let probe = (metrics.clone(), view.clone());
        let (_, operator) = pair();
        let mut viewed = Self {
            scheduler: Scheduler::new(Arc::new(Limits::default()), probe),
            handler: AdminHandler::new(Pages::default(), metrics.clone(), view),
            metrics,
            now: Now::read(),
            peers: Vec::new(),
            operator,
            latest: (0, "0".to_owned()),
            cells: BTreeMap::new(),
        };
        viewed.operator = viewed.connect(Role::Admin);
        viewed
    }

    fn connect(&mut self, role: Role) -> Peer {
        let (transport, peer) = pair();
        let listener = ListenerInfo {
            role,
            ..ListenerInfo::public(0)
        };
        let state = self.handler.on_connect(listener, None);
        let origin = Origin {
            listener,
            peer: None,
        };
        let key = self.scheduler.add(&origin, transport, state, self.now);
        self.peers.push((key, peer.clone()));
        peer
    }

    /// Iterates until the loop would wait.
    fn run(&mut self) {
        loop {
            for (key, peer) in &self.peers {
                if peer.take_event() && !peer.is_closed() {
                    self.scheduler.mark_ready(*key, EventFlags::default);
                }
            }
            self.scheduler.run(&mut self.handler, self.now);
            self.scheduler.register(|_, _| Ok(()));
            self.scheduler.reap(&mut self.handler, self.now, drop);
            self.peers.retain(|(_, peer)| !peer.is_closed());
            if self.scheduler.poll_timeout(self.now) != Some(Duration::ZERO) {
                return;
            }
        }
    }

    /// The operator takes a snapshot.
    fn look(&mut self) {
        let before = self.operator.take_received().len();
        let (since, run) = &self.latest;
        let ask =
            format!("GET /snapshot?since={since}&run={run} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.operator.sends(ask);
        self.run();
        let answer = self.operator.take_received().split_off(before);
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let body = &answer[end.expect("a head") + 4..];
        let number = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().unwrap());
        let length = number(0) as usize;
        let pulse: serde_json::Value = serde_json::from_slice(&body[4..4 + length]).unwrap();
        if pulse["whole"] == true {
            self.cells.clear();
        }
        self.latest = (
            pulse["version"].as_u64().unwrap(),
            pulse["run"].as_str().unwrap().to_owned(),
        );
        for at in (4 + length..body.len()).step_by(24) {
            let cell = (body[at + 8], body[at + 10] & 1 > 0);
            self.cells.insert(number(at) as usize, cell);
        }
        self.cells.retain(|_, (state, _)| *state > 0);
    }

    /// How many public connections the metrics have in each state.
    fn gauges(&self) -> Vec<usize> {
        let text = self.metrics.render();
        let name = "oneloop_connections{";
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines
            .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
            .collect()
    }

    /// What the scheduler has, in the form of the cells.
    fn expected(&self) -> BTreeMap<usize, u8> {
        let number = |state| match state {
            StateName::Handshaking => 1,
            StateName::Reading => 2,
            StateName::Parsing => 3,
            StateName::WritingHeader => 4,
            StateName::WritingBody => 5,
            StateName::Closing => 6,
            StateName::Closed(_) => 7,
        };
        let all = self.scheduler.connections();
        all.map(|(key, connection)| (key, number(connection.state_name())))
            .collect()
    }
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    Connect,
    Send(usize, &'static str),
    Close(usize),
    Wait(u64),
    Evict,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let texts = [
        "GET /small HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /sm",
        "GET /small HTTP/1.0\r\n\r\n",
        "\r\n",
        "no HTTP\r\n\r\n",
    ];
    let event = prop_oneof![
        3 => Just(Event::Connect),
        4 => (0..8usize, prop::sample::select(texts.to_vec()))
            .prop_map(|(which, text)| Event::Send(which, text)),
        2 => (0..8usize).prop_map(Event::Close),
        1 => (0..30u64).prop_map(Event::Wait),
        1 => Just(Event::Evict),
    ];
    prop::collection::vec(event, 1..60)
}

proptest! {
    /// Also when it is put together from snapshots of what has changed.
    #[test]
    fn the_view_and_the_metrics_have_the_connections_of_the_scheduler(events in events()) {
        let mut viewed = Viewed::new();
        for event in events {
            // The first peer is the operator.
            let public = viewed.peers.len() - 1;
            match event {
                Event::Connect => {
                    viewed.connect(Role::Public);
                }
                Event::Send(which, text) if public > 0 => {
                    viewed.peers[1 + which % public].1.sends(text);
                }
                Event::Close(which) if public > 0 => viewed.peers[1 + which % public].1.closes(),
                Event::Wait(time) => viewed.now.instant += seconds(time),
                Event::Evict => {
                    viewed.scheduler.evict(&mut viewed.handler, viewed.now);
                }
                Event::Send(..) | Event::Close(_) => {}
            }
            viewed.run();
            viewed.look();
            let mut expected = viewed.expected();
            let is_public = |(key, _): &(&usize, _)| **key > 0;
            let public = |state| {
                let states = expected.iter().filter(is_public).map(|(_, state)| *state);
                states.filter(|other| *other == state).count()
            };
            prop_assert_eq!(viewed.gauges(), (1..=6).map(public).collect::<Vec<_>>());
            let cells: BTreeMap<_, _> = viewed.cells.iter().map(|(key, (state, _))| (*key, *state)).collect();
            // The operator's own request was being answered then, and is not any more.
            prop_assert_eq!(expected.insert(0, 3), Some(2));
            prop_assert_eq!(cells, expected);
            prop_assert!(viewed.cells.iter().all(|(key, (_, is_admin))| *is_admin == (*key == 0)));
            prop_assert_eq!(viewed.scheduler.count(Role::Admin), 1);
        }
    }
}

#[test]
fn an_idle_connection_of_the_operator_is_never_evicted_for_the_public() {
    let mut viewed = Viewed::new();
    viewed.connect(Role::Public);
    viewed.run();
    viewed.now.instant += seconds(5);
    let mut evict = || viewed.scheduler.evict(&mut viewed.handler, viewed.now);
    assert_eq!((evict(), evict()), (1, 0));
}
