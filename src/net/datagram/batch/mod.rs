//! Batches of datagrams, received and answered with one system call each.
//!
//! A busy server that receives one datagram at a time pays for one system call each, and for
//! another one to reply. A [`DatagramBatch`] holds many datagrams.
//! [`recv_batch`](crate::net::DatagramSocket::recv_batch) fills it from the socket's queue, and
//! [`reply_batch`](crate::net::DatagramSocket::reply_batch) sends to many of the senders. The
//! buffers are allocated once and reused. If datagrams arrive one at a time, they are received one
//! at a time, by the system calls that cost less then.
//!
//! Each datagram has its full length, even if its buffer was too short. On a socket that is bound
//! to every interface, it also has the local address to which it was sent.

mod family;
mod io;
mod mmsg;

use std::fmt;
use std::net::IpAddr;

use crate::net::peer::Peer;
use crate::net::predictor::StreakPredictor;

/// The largest number of datagrams in a batch, and so in one system call.
pub(super) const MAX_BATCH: usize = 64;

/// The largest total size of a batch's buffers in bytes, unless [`MIN_BATCH`] needs more.
const MAX_BYTES: usize = 256 * 1024;

/// The smallest number of datagrams in a batch, for datagrams of any size.
const MIN_BATCH: usize = 4;

/// The smallest number of buffers that a call offers to the kernel, unless datagrams arrive one at
/// a time. Each buffer that stays empty costs time.
const MIN_OFFER: usize = 8;

/// Buffers for datagrams, with the datagrams received last.
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
/// assert_eq!(server.reply_batch(&batch, &[0, 1], b"reply").await?, 2);
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
pub struct DatagramBatch {
    bytes: Vec<u8>,
    slot_size: usize,
    received: Vec<DatagramMeta>,
    /// The number of buffers that the next call offers to the kernel.
    offer: usize,
    /// The predictor of datagrams that arrive alone.
    single_predictor: StreakPredictor,
}

/// The length and the addresses of a received datagram.
#[derive(Debug)]
struct DatagramMeta {
    length: usize,
    peer: Peer,
    local_ip: Option<IpAddr>,
}

impl DatagramMeta {
    fn with_buffer<'a>(&'a self, buffer: &'a [u8]) -> Datagram<'a> {
        let DatagramMeta { length, ref peer, local_ip } = *self;
        Datagram { bytes: &buffer[..length.min(buffer.len())], length, peer, local_ip }
    }
}

/// A datagram in a [`DatagramBatch`].
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// The received bytes: the whole datagram, or its beginning if it was too long.
    pub bytes: &'a [u8],
    /// The length of the whole datagram in bytes.
    pub length: usize,
    /// The sender.
    pub peer: &'a Peer,
    /// The local address to which it was sent, if the socket is bound to every interface.
    pub local_ip: Option<IpAddr>,
}

impl Datagram<'_> {
    /// Returns whether the end of the datagram was lost because it was too long.
    pub fn is_truncated(&self) -> bool {
        self.length > self.bytes.len()
    }
}

impl DatagramBatch {
    /// Creates an empty batch for datagrams of up to `slot_size` bytes (at least 1). It holds 64
    /// datagrams, or fewer if they are large.
    pub fn new(slot_size: usize) -> DatagramBatch {
        let slot_size = slot_size.max(1);
        let count = (MAX_BYTES / slot_size).clamp(MIN_BATCH, MAX_BATCH);
        DatagramBatch {
            bytes: vec![0; slot_size * count],
            slot_size,
            received: Vec::with_capacity(count),
            offer: MIN_OFFER.min(count),
            single_predictor: StreakPredictor::default(),
        }
    }

    /// Creates a batch with the addresses of one datagram, to reply to its sender later.
    pub fn with_sender_of(datagram: &Datagram<'_>) -> DatagramBatch {
        let mut batch = DatagramBatch { received: Vec::new(), ..DatagramBatch::new(1) };
        let (peer, local_ip) = (datagram.peer.clone(), datagram.local_ip);
        batch.received.push(DatagramMeta { length: 0, peer, local_ip });
        batch
    }

    /// Returns the number of datagrams that fit into the batch.
    pub fn capacity(&self) -> usize {
        self.bytes.len() / self.slot_size
    }

    /// Returns the number of datagrams received last.
    pub fn len(&self) -> usize {
        self.received.len()
    }

    /// Returns whether the batch holds no datagram.
    pub fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// Returns a datagram by its index, counted from 0.
    pub fn get(&self, index: usize) -> Option<Datagram<'_>> {
        let received = self.received.get(index)?;
        Some(received.with_buffer(&self.bytes[index * self.slot_size..][..self.slot_size]))
    }

    /// Sets the number of buffers of the next call: twice the number of datagrams received last, or
    /// 1 if datagrams arrive one at a time.
    fn adapt_offer(&mut self) {
        let count = self.received.len();
        self.single_predictor.record(count == 1);
        self.offer = match self.single_predictor.predicts() {
            true => 1,
            false => (2 * count).max(MIN_OFFER).min(self.capacity()),
        };
    }

    /// Returns an iterator over the datagrams received last.
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
