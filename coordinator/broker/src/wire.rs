//! One client's byte stream: buffered both ways, read and written at the same time, with no memory held while idle.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout};

use crate::codec::{self, DecodeError, Packet};

/// Read at once; lives on the stack while reading only.
const CHUNK_BYTES: usize = 16 * 1024;
/// So many bytes of a packet are a sign of life before it is complete. With fewer, a client could hold a connection by
/// sending one byte now and then; without any, a large packet over a slow link would count as silence.
const SIGN_OF_LIFE_BYTES: usize = 1024;
/// How long a client that was refused may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// The stream with what was read and not decoded, and what is encoded and not written.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    input: BytesMut,
    /// Append packets here; [`Wire::progress`] writes them.
    pub(crate) output: BytesMut,
    needs_flush: bool,
    /// Larger packets are refused as soon as their size is known.
    pub(crate) max_packet_bytes: usize,
    /// When a packet was last complete, or a good part of one had arrived.
    pub(crate) heard_at: Instant,
    /// Bytes that have arrived since then.
    unheard: usize,
    /// When the client last took bytes, or had none to take.
    pub(crate) moved_at: Instant,
}

/// What [`Wire::progress`] achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Bytes arrived.
    Read,
    /// Bytes were written.
    Wrote,
    /// The client will send nothing more.
    End,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S, max_packet_bytes: usize) -> Self {
        let now = Instant::now();
        Self {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            needs_flush: false,
            max_packet_bytes,
            heard_at: now,
            unheard: 0,
            moved_at: now,
        }
    }

    /// The next packet if it has arrived completely.
    pub(crate) fn packet(&mut self) -> Result<Option<Packet>, DecodeError> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let packet = codec::decode(&mut self.input, self.max_packet_bytes)?;
        if packet.is_some() {
            self.hear();
        }
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        Ok(packet)
    }

    /// Waits for the next packet; `None` when the stream ends before it.
    pub(crate) async fn next_packet(&mut self) -> Result<Option<Packet>, DecodeError> {
        loop {
            if let Some(packet) = self.packet()? {
                return Ok(Some(packet));
            }
            if !matches!(self.progress(true).await, Ok(Progress::Read | Progress::Wrote)) {
                return Ok(None);
            }
        }
    }

    /// Waits until bytes could be written or, if `may_read`, arrived. Cancel safe.
    pub(crate) async fn progress(&mut self, may_read: bool) -> io::Result<Progress> {
        poll_fn(|cx| self.poll_progress(cx, may_read)).await
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>, may_read: bool) -> Poll<io::Result<Progress>> {
        let has_written = self.poll_write(cx)?;
        if may_read && let Poll::Ready(progress) = self.poll_read(cx)? {
            return Poll::Ready(Ok(progress));
        }
        if has_written {
            Poll::Ready(Ok(Progress::Wrote))
        } else {
            Poll::Pending
        }
    }

    /// Writes what the client takes now; whether that was anything.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut has_written = false;
        while !self.output.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.output)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => {
                    self.output.advance(written);
                    (has_written, self.needs_flush) = (true, true);
                }
                Poll::Pending => break,
            }
        }
        if self.needs_flush && Pin::new(&mut self.stream).poll_flush(cx)?.is_ready() {
            self.needs_flush = false;
        }
        if has_written {
            self.moved_at = Instant::now();
            if self.output.is_empty() {
                self.output = BytesMut::new();
            }
        }
        Ok(has_written)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        let mut chunk = [MaybeUninit::uninit(); CHUNK_BYTES];
        let mut read = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        if read.filled().is_empty() {
            return Poll::Ready(Ok(Progress::End));
        }
        self.input.extend_from_slice(read.filled());
        self.unheard += read.filled().len();
        if self.unheard >= SIGN_OF_LIFE_BYTES {
            self.hear();
        }
        Poll::Ready(Ok(Progress::Read))
    }

    fn hear(&mut self) {
        (self.heard_at, self.unheard) = (Instant::now(), 0);
    }

    /// Whether the client has yet to take bytes that are meant for it.
    pub(crate) fn is_writing(&self) -> bool {
        !self.output.is_empty() || self.needs_flush
    }

    /// Writes the rest and closes. Reads on until the client closes too, lest what it has sent meanwhile resets the
    /// connection before it could read the answer.
    pub(crate) async fn finish(mut self) {
        let farewell = async {
            while self.is_writing() {
                self.progress(false).await?;
            }
            poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await?;
            while self.progress(true).await? == Progress::Read {
                self.input.clear();
            }
            io::Result::Ok(())
        };
        // The client is refused either way.
        let _ = timeout(FAREWELL, farewell).await;
    }
}
