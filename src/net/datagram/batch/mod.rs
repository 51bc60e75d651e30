//! Many datagrams from one system call.
//!
//! A busy server that asks the kernel for one datagram at a time pays for a system call each, and for another to
//! answer it. A [`DatagramBatch`] has room for many: [`receive_batch`](crate::net::DatagramSocket::recv_batch) fills it
//! with what waits, and [`answer`](crate::net::DatagramSocket::reply_batch) sends to many of their senders at once. The room
//! is made once and used again, so a datagram allocates nothing. Where they come one at a time, they are taken one at a time,
//! by the calls that cost less then.
//!
//! Each datagram is told with its whole length, also where the buffer took only its beginning, and with the address
//! that it was sent to where the socket listens on several.

pub(crate) mod family;
pub(crate) mod io;
pub(crate) mod mmsg;

use std::fmt;
use std::net::IpAddr;

use crate::net::{Peer, StreakPredictor};

/// The most datagrams of one system call.
pub(crate) const MAX_BATCH: usize = 64;

/// What the buffers of one batch take together at most, unless there are too few of them.
const MAX_BYTES: usize = 256 * 1024;

/// Datagrams of a batch at least, however large each may be.
const MIN_BATCH: usize = 4;

/// How many a call offers room for at least, where there is as much: room that nothing fills costs time, too.
pub(crate) const MIN_OFFER: usize = 8;

/// Room for datagrams, and those that were received last.
///
/// # Examples
///
/// ```
/// use sockactors::net::{DatagramBatch, DatagramSocket};
///
/// # smol::block_on(async {
/// let server = DatagramSocket::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
/// let client = DatagramSocket::connect(server.endpoint()).await.unwrap();
/// client.send(b"one").await?;
/// client.send(b"two, which is too long").await?;
///
/// let mut batch = DatagramBatch::new(8);
/// server.recv_batch(&mut batch).await?;
/// assert_eq!(batch.get(0).unwrap().bytes, b"one");
/// let two = batch.get(1).unwrap();
/// assert_eq!((two.bytes, two.length, two.is_truncated()), (&b"two, whi"[..], 22, true));
///
/// assert_eq!(server.reply_batch(&batch, &[0, 1], b"heard").await?, 2);
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
pub struct DatagramBatch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) slot_size: usize,
    pub(crate) received: Vec<DatagramMeta>,
    /// How many datagrams the next call is to offer room for.
    pub(crate) offer: usize,
    /// That one comes alone.
    single_predictor: StreakPredictor,
}

/// What is known of a datagram beside its bytes.
#[derive(Debug)]
pub(crate) struct DatagramMeta {
    pub(crate) length: usize,
    pub(crate) peer: Peer,
    pub(crate) local_ip: Option<IpAddr>,
}

impl DatagramMeta {
    fn with_buffer<'a>(&'a self, buffer: &'a [u8]) -> Datagram<'a> {
        let DatagramMeta { length, ref peer, local_ip: local } = *self;
        Datagram { bytes: &buffer[..length.min(buffer.len())], length, peer, local_ip: local }
    }
}

/// A datagram in a [`DatagramBatch`].
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// What the buffer took of it: all, or its beginning.
    pub bytes: &'a [u8],
    /// How long it was when it was sent, in bytes.
    pub length: usize,
    /// Who sent it.
    pub peer: &'a Peer,
    /// The address of this machine that it was sent to, where the socket is bound to none in particular.
    pub local_ip: Option<IpAddr>,
}

impl Datagram<'_> {
    /// Tells whether the buffer took only the beginning.
    pub fn is_truncated(&self) -> bool {
        self.length > self.bytes.len()
    }
}

impl DatagramBatch {
    /// Makes room for datagrams of up to `slot_size` bytes each (at least 1): for 64 of them, or fewer if they are large.
    pub fn new(size: usize) -> DatagramBatch {
        let size = size.max(1);
        let count = (MAX_BYTES / size).clamp(MIN_BATCH, MAX_BATCH);
        let (bytes, received) = (vec![0; size * count], Vec::with_capacity(count));
        DatagramBatch {
            bytes,
            slot_size: size,
            received,
            offer: MIN_OFFER.min(count),
            single_predictor: StreakPredictor::default(),
        }
    }

    /// Returns how many datagrams there is room for.
    pub fn capacity(&self) -> usize {
        self.bytes.len() / self.slot_size
    }

    /// Returns how many datagrams were received last.
    pub fn len(&self) -> usize {
        self.received.len()
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// Returns one of the datagrams that were received last, counted from 0.
    pub fn get(&self, index: usize) -> Option<Datagram<'_>> {
        let received = self.received.get(index)?;
        Some(received.with_buffer(&self.bytes[index * self.slot_size..][..self.slot_size]))
    }

    /// Has the next call offer room for twice as many as came with the last one, or for one where they come alone.
    pub(crate) fn adapt_offer(&mut self) {
        let came = self.received.len();
        self.single_predictor.record(came == 1);
        self.offer = match self.single_predictor.predicts() {
            true => 1,
            false => (2 * came).max(MIN_OFFER).min(self.capacity()),
        };
    }

    /// Goes through the datagrams that were received last.
    pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        let buffers = self.bytes.chunks_exact(self.slot_size);
        self.received.iter().zip(buffers).map(|(received, buffer)| received.with_buffer(buffer))
    }
}

impl fmt::Debug for DatagramBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatagramBatch({} of {}, {} bytes)", self.len(), self.capacity(), self.slot_size)
    }
}
