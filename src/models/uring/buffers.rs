//! The buffers of the operations in flight.
//!
//! A receive may wait for minutes. It has no buffer meanwhile: the kernel takes one of the
//! *provided buffers* when bytes arrive, and the completion names it. So ten thousand idle
//! connections share them. A send has a buffer only while the kernel copies from it.
//!
//! # Why the `unsafe` code is sound
//!
//! The kernel shares two areas with us, the buffers and the ring of those that it may take. Both
//! are allocated once, and never freed. A buffer belongs to the kernel while it is in that ring,
//! and to us from its completion until it is given back: only then is a slice made of it.

#![allow(unsafe_code)]

use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::collections::VecDeque;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// Size of a provided buffer in bytes. Most requests fit into one.
const RECEIVE_BUFFER: usize = 4096;

/// Number of provided buffers, a power of two: 2 MiB. They are given back in each iteration.
const RECEIVE_BUFFERS: u16 = 512;

/// The id of the only group of provided buffers.
pub const GROUP: u16 = 0;

/// Size of a buffer to send from, in bytes: the most that one operation sends.
pub const SEND_BUFFER: usize = 64 * 1024;

/// Most buffers to send from: 16 MiB. Above it, a send waits until another one is complete.
const SEND_BUFFERS: usize = 256;

/// Provided buffers of which a socket holds a list.
pub struct ReceiveBuffers {
    /// The ring of the buffers that the kernel may take, one page-aligned entry after the other.
    ring: NonNull<BufRingEntry>,
    /// The buffers, one behind the other.
    bytes: NonNull<u8>,
    /// Where the next buffer is given back, modulo the number of entries.
    tail: u16,
    /// Of each buffer that a socket holds: its bytes, and the next one of the same socket.
    held: Box<[Held]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    length: u32,
    next: Option<u16>,
}

/// The provided buffers of a socket that it has not read yet, in the order of their bytes.
#[derive(Debug, Default)]
pub struct ReceivedList {
    ends: Option<(u16, u16)>,
    /// Bytes of the first buffer that were read.
    read: u32,
}

impl ReceiveBuffers {
    const RING: Layout =
        Layout::new::<Area<{ RECEIVE_BUFFERS as usize * size_of::<BufRingEntry>() }>>();
    const BYTES: Layout = Layout::new::<Area<{ RECEIVE_BUFFERS as usize * RECEIVE_BUFFER }>>();

    /// Allocates the buffers and registers them as the group [`GROUP`].
    ///
    /// # Errors
    /// Those of io_uring_register(2).
    pub fn new(io: &IoUring) -> io::Result<Self> {
        let ring = allocate(Self::RING).cast::<BufRingEntry>();
        let bytes = allocate(Self::BYTES);
        let mut buffers = Self {
            ring,
            bytes,
            tail: 0,
            held: vec![Held::default(); RECEIVE_BUFFERS.into()].into(),
        };
        let address = ring.as_ptr() as u64;
        // SAFETY: the ring is page-aligned, has this number of entries, and outlives the
        // registration, see the module's text.
        unsafe {
            io.submitter()
                .register_buf_ring_with_flags(address, RECEIVE_BUFFERS, GROUP, 0)?;
        }
        for id in 0..RECEIVE_BUFFERS {
            buffers.give_back(id);
        }
        Ok(buffers)
    }

    /// Adds the buffer `id`, of which the kernel has filled `length` bytes, to `list`.
    pub fn append(&mut self, list: &mut ReceivedList, id: u16, length: u32) {
        if let Some(held) = self.held.get_mut(usize::from(id)) {
            *held = Held { length, next: None };
        }
        list.ends = match list.ends {
            None => Some((id, id)),
            Some((first, last)) => {
                if let Some(held) = self.held.get_mut(usize::from(last)) {
                    held.next = Some(id);
                }
                Some((first, id))
            }
        };
    }

    /// Moves bytes of `list` to `buf`, as many as there are or as it can hold, and gives the
    /// buffers that are empty then back to the kernel. Returns the number.
    pub fn read(&mut self, list: &mut ReceivedList, buf: &mut [u8]) -> usize {
        let mut copied = 0;
        while let Some((_, free)) = buf.split_at_mut_checked(copied)
            && !free.is_empty()
            && let Some(unread) = self.first(list)
        {
            let length = unread.len().min(free.len());
            let (source, rest) = unread.split_at(length);
            let is_empty = rest.is_empty();
            free.split_at_mut(length).0.copy_from_slice(source);
            copied += length;
            match is_empty {
                true => self.remove_first(list),
                // At most the size of a buffer.
                false => list.read += length as u32,
            }
        }
        copied
    }

    /// Moves all bytes of `list` to `out`, and gives the buffers back to the kernel.
    pub fn read_all(&mut self, list: &mut ReceivedList, out: &mut VecDeque<u8>) {
        while let Some(unread) = self.first(list) {
            out.extend(unread);
            self.remove_first(list);
        }
    }

    /// Gives all buffers of `list` back to the kernel.
    pub fn discard(&mut self, list: &mut ReceivedList) {
        while list.ends.is_some() {
            self.remove_first(list);
        }
    }

    /// The unread bytes of the first buffer.
    fn first(&self, list: &ReceivedList) -> Option<&[u8]> {
        let (id, _) = list.ends?;
        let held = self.held.get(usize::from(id))?;
        let length = (held.length as usize).min(RECEIVE_BUFFER);
        // SAFETY: the buffer is in the area, since it has an entry in `held`; it is ours, since it
        // is in a list; and the slice borrows self, so it is not given back meanwhile.
        let bytes = unsafe {
            let start = self.bytes.add(usize::from(id) * RECEIVE_BUFFER);
            std::slice::from_raw_parts(start.as_ptr(), length)
        };
        bytes.get(list.read as usize..)
    }

    fn remove_first(&mut self, list: &mut ReceivedList) {
        let Some((first, last)) = list.ends else {
            return;
        };
        let next = self.held.get(usize::from(first)).and_then(|held| held.next);
        list.ends = next.map(|next| (next, last));
        list.read = 0;
        self.give_back(first);
    }

    /// Gives the buffer `id`, which is in no list, back to the kernel.
    pub fn give_back(&mut self, id: u16) {
        let index = usize::from(self.tail % RECEIVE_BUFFERS);
        let address = self.bytes.as_ptr() as u64 + u64::from(id) * RECEIVE_BUFFER as u64;
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the index is within the ring. The kernel reads an entry only after the tail says
        // that it is there. The tail is in the first entry, in a field that the others leave free;
        // entries do not touch it.
        unsafe {
            let entry = &mut *self.ring.add(index).as_ptr();
            entry.set_addr(address);
            entry.set_len(RECEIVE_BUFFER as u32);
            entry.set_bid(id);
            let tail = BufRingEntry::tail(self.ring.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }
}

impl ReceivedList {
    /// Whether all bytes were read.
    pub fn is_empty(&self) -> bool {
        self.ends.is_none()
    }
}

/// Memory aligned to the largest page: io_uring_register(2) wants the ring to begin a page.
#[repr(align(65536))]
struct Area<const SIZE: usize>([u8; SIZE]);

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: the size is not zero.
    let address = unsafe { alloc_zeroed(layout) };
    NonNull::new(address).unwrap_or_else(|| handle_alloc_error(layout))
}

/// The buffers to send from.
#[derive(Debug, Default)]
pub struct SendBuffers {
    free: Vec<Box<[u8]>>,
    in_use: usize,
}

impl SendBuffers {
    /// A buffer of [`SEND_BUFFER`] bytes; `None` if too many are in use.
    pub fn take(&mut self) -> Option<Box<[u8]>> {
        if self.in_use == SEND_BUFFERS {
            return None;
        }
        self.in_use += 1;
        let free = self.free.pop();
        Some(free.unwrap_or_else(|| vec![0; SEND_BUFFER].into()))
    }

    /// Takes a buffer back.
    pub fn give_back(&mut self, buffer: Box<[u8]>) {
        self.in_use -= 1;
        self.free.push(buffer);
    }
}
