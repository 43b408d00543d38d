//! MQTT 3.1.1 packets as the broker needs them, to and from bytes.
//!
//! rumqttd's v4 codec does the framing and most packets. What it lets pass (reserved bits, packet id 0, surplus
//! bytes) is checked here first, and PUBLISH is done here, because its QoS and packet id are private there.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rumqttd::protocol::v4::{self, FixedHeader, PacketType, V4};
use rumqttd::protocol::{self, ConnAck, ConnectReturnCode, PingResp, Protocol, PubAck, PubAckReason, SubAck};
use rumqttd::protocol::{SubscribeReasonCode, UnsubAck};

use crate::gate::Refusal;
use crate::message::{Outgoing, Qos};

/// Largest packet that is no PUBLISH: enough for the longest filters, and not for so many that they take long.
const MAX_CONTROL_BYTES: usize = 64 * 1024;

/// A packet from a client.
#[derive(Debug)]
pub(crate) enum Packet {
    Connect(Box<ConnectPacket>),
    Publish(PublishPacket),
    PubAck {
        packet_id: u16,
    },
    Subscribe {
        packet_id: u16,
        filters: Vec<(String, Qos)>,
    },
    Unsubscribe {
        packet_id: u16,
        filters: Vec<String>,
    },
    Ping,
    Disconnect,
}

#[derive(Debug)]
pub(crate) struct ConnectPacket {
    pub(crate) client_id: String,
    pub(crate) clean_session: bool,
    pub(crate) keep_alive_seconds: u16,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    /// A will that asks for QoS 2 is kept with QoS 1.
    pub(crate) will: Option<PublishPacket>,
}

#[derive(Debug)]
pub(crate) struct PublishPacket {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// 0 for QoS 0.
    pub(crate) packet_id: u16,
}

/// Why bytes are no packet that a client may send. All but the first just close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("protocol level {0} is not MQTT 3.1.1")]
    ProtocolLevel(u8),
    #[error("packet of {0} bytes is too large")]
    TooLarge(usize),
    #[error("QoS 2 is not supported")]
    Qos2,
    #[error("packet type {0} is not for a server")]
    NotForServer(u8),
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    #[error("malformed packet: {0}")]
    Codec(protocol::Error),
}

/// Takes the first packet off `input`; `None` if it is not complete yet.
pub(crate) fn decode(input: &mut BytesMut, max_packet_bytes: usize) -> Result<Option<Packet>, DecodeError> {
    let Some(first_byte) = input.first() else {
        return Ok(None);
    };
    // Before the rest has arrived: whoever speaks another protocol need not wait to be told.
    check_first_byte(*first_byte)?;
    // Only messages are large.
    let max_packet_bytes = match first_byte >> 4 {
        3 => max_packet_bytes,
        _ => max_packet_bytes.min(MAX_CONTROL_BYTES),
    };
    let header = match v4::check(input.iter(), max_packet_bytes) {
        Ok(header) => header,
        Err(protocol::Error::InsufficientBytes(_)) => return Ok(None),
        Err(protocol::Error::PayloadSizeLimitExceeded(size)) => return Err(DecodeError::TooLarge(size)),
        Err(error) => return Err(DecodeError::Codec(error)),
    };
    let packet_type = header.packet_type().map_err(DecodeError::Codec)?;
    check_length(packet_type, header.remaining_len)?;
    match packet_type {
        PacketType::Publish => return decode_publish(input, &header).map(Some),
        PacketType::Connect => check_connect(&input[header.fixed_header_len..header.frame_length()])?,
        PacketType::Subscribe => check_subscribe(&input[header.fixed_header_len..header.frame_length()])?,
        _ => {}
    }
    let packet = V4
        .read_mut(input, max_packet_bytes)
        .map_err(|error| match error {
            protocol::Error::InvalidProtocolLevel(level) => DecodeError::ProtocolLevel(level),
            error => DecodeError::Codec(error),
        })?;
    convert(packet).map(Some)
}

/// The packet types that a client may send, and the flags that each prescribes (2.2.2, table 2.2).
fn check_first_byte(byte: u8) -> Result<(), DecodeError> {
    match byte {
        // A message that nobody acknowledges cannot come again (3.3.1.1).
        0x38 | 0x39 => Err(DecodeError::Malformed("DUP with QoS 0")),
        0x10 | 0x30..=0x3f | 0x40 | 0x82 | 0xa2 | 0xc0 | 0xe0 => Ok(()),
        0x50 | 0x62 | 0x70 => Err(DecodeError::Qos2),
        0x20 | 0x90 | 0xb0 | 0xd0 => Err(DecodeError::NotForServer(byte >> 4)),
        _ => Err(DecodeError::Malformed("packet type or flags")),
    }
}

/// The sizes that a packet type allows.
fn check_length(packet_type: PacketType, length: usize) -> Result<(), DecodeError> {
    let allowed = match packet_type {
        PacketType::Connect => 12..=usize::MAX,
        PacketType::Publish => 3..=usize::MAX,
        PacketType::PubAck => 2..=2,
        PacketType::Subscribe => 6..=usize::MAX,
        PacketType::Unsubscribe => 5..=usize::MAX,
        _ => 0..=0,
    };
    if allowed.contains(&length) {
        Ok(())
    } else {
        Err(DecodeError::Malformed("length"))
    }
}

/// The parts of CONNECT that the codec does not look at. `body` has at least 12 bytes.
fn check_connect(body: &[u8]) -> Result<(), DecodeError> {
    // MQTT 3.1 deserves the answer that other versions get.
    if let Some(rest) = body.strip_prefix(b"\0\x06MQIsdp") {
        return Err(DecodeError::ProtocolLevel(rest[0]));
    }
    if !body.starts_with(b"\0\x04MQTT\x04") {
        // The codec says what is wrong with it.
        return Ok(());
    }
    let flags = body[7];
    if flags & 1 != 0 {
        return Err(DecodeError::Malformed("reserved connect flag"));
    }
    if flags & 0xc0 == 0x40 {
        return Err(DecodeError::Malformed("password without user name"));
    }
    // Client id; topic and payload of the will; user name; password.
    let mut rest = &body[10..];
    for is_there in [
        true,
        flags & 4 != 0,
        flags & 4 != 0,
        flags & 0x80 != 0,
        flags & 0x40 != 0,
    ] {
        if is_there {
            rest = behind_text(rest)?;
        }
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(DecodeError::Malformed("length"))
    }
}

/// The reserved bits of every filter's QoS, which the codec does not look at (3.8.3).
fn check_subscribe(body: &[u8]) -> Result<(), DecodeError> {
    let mut filters = &body[2..];
    while !filters.is_empty() {
        let rest = behind_text(filters)?;
        let (options, rest) = rest.split_first().ok_or(DecodeError::Malformed("length"))?;
        if options & 0xfc != 0 {
            return Err(DecodeError::Malformed("reserved bits of a filter"));
        }
        filters = rest;
    }
    Ok(())
}

/// What follows a text with its length before it.
fn behind_text(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    let end = bytes
        .first_chunk()
        .map(|length| 2 + usize::from(u16::from_be_bytes(*length)));
    end.and_then(|end| bytes.get(end..))
        .ok_or(DecodeError::Malformed("length"))
}

fn decode_publish(input: &mut BytesMut, header: &FixedHeader) -> Result<Packet, DecodeError> {
    let mut body = &input[header.fixed_header_len..header.frame_length()];
    let qos = match header.byte1 >> 1 & 3 {
        0 => Qos::AtMostOnce,
        1 => Qos::AtLeastOnce,
        2 => return Err(DecodeError::Qos2),
        _ => return Err(DecodeError::Malformed("QoS 3")),
    };
    let topic_len = usize::from(body.get_u16());
    if body.len() < topic_len + if qos == Qos::AtLeastOnce { 2 } else { 0 } {
        return Err(DecodeError::Malformed("length"));
    }
    let topic = utf8(&body[..topic_len])?;
    body.advance(topic_len);
    let packet_id = if qos == Qos::AtLeastOnce {
        nonzero(body.get_u16())?
    } else {
        0
    };
    // Copied, so that a message that is kept does not keep the whole buffer that it was read into.
    let payload = Bytes::copy_from_slice(body);
    input.advance(header.frame_length());
    Ok(Packet::Publish(PublishPacket {
        topic,
        payload,
        qos,
        retain: header.byte1 & 1 != 0,
        packet_id,
    }))
}

fn convert(packet: protocol::Packet) -> Result<Packet, DecodeError> {
    Ok(match packet {
        protocol::Packet::Connect(connect, _, will, _, login) => {
            let (username, password) = login
                .map(|login| (login.username, login.password))
                .unwrap_or_default();
            Packet::Connect(Box::new(ConnectPacket {
                client_id: connect.client_id,
                clean_session: connect.clean_session,
                keep_alive_seconds: connect.keep_alive,
                username: Some(username).filter(|name| !name.is_empty()),
                password: Some(password).filter(|password| !password.is_empty()),
                will: will.map(convert_will).transpose()?,
            }))
        }
        protocol::Packet::PubAck(ack, _) => Packet::PubAck {
            packet_id: nonzero(ack.pkid)?,
        },
        protocol::Packet::Subscribe(subscribe, _) => Packet::Subscribe {
            packet_id: nonzero(subscribe.pkid)?,
            filters: subscribe
                .filters
                .into_iter()
                .map(|filter| (filter.path, convert_qos(filter.qos)))
                .collect(),
        },
        protocol::Packet::Unsubscribe(unsubscribe, _) => Packet::Unsubscribe {
            packet_id: nonzero(unsubscribe.pkid)?,
            filters: unsubscribe.filters,
        },
        protocol::Packet::PingReq(_) => Packet::Ping,
        protocol::Packet::Disconnect(..) => Packet::Disconnect,
        _ => return Err(DecodeError::Malformed("unexpected packet")),
    })
}

fn convert_will(will: protocol::LastWill) -> Result<PublishPacket, DecodeError> {
    Ok(PublishPacket {
        topic: utf8(&will.topic)?,
        payload: Bytes::copy_from_slice(&will.message),
        qos: convert_qos(will.qos),
        retain: will.retain,
        packet_id: 0,
    })
}

fn convert_qos(qos: protocol::QoS) -> Qos {
    match qos {
        protocol::QoS::AtMostOnce => Qos::AtMostOnce,
        protocol::QoS::AtLeastOnce | protocol::QoS::ExactlyOnce => Qos::AtLeastOnce,
    }
}

fn utf8(bytes: &[u8]) -> Result<String, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Malformed("text is not UTF-8"))?;
    Ok(text.to_owned())
}

fn nonzero(packet_id: u16) -> Result<u16, DecodeError> {
    if packet_id == 0 {
        Err(DecodeError::Malformed("packet id 0"))
    } else {
        Ok(packet_id)
    }
}

/// Appends the CONNACK that lets a client in.
pub(crate) fn encode_welcome(session_present: bool, output: &mut BytesMut) {
    write(
        protocol::Packet::ConnAck(
            ConnAck {
                session_present,
                code: ConnectReturnCode::Success,
            },
            None,
        ),
        output,
    );
}

/// Appends the CONNACK with protocol level not supported.
pub(crate) fn encode_bad_protocol(output: &mut BytesMut) {
    let code = ConnectReturnCode::RefusedProtocolVersion;
    write(
        protocol::Packet::ConnAck(
            ConnAck {
                session_present: false,
                code,
            },
            None,
        ),
        output,
    );
}

/// Appends the CONNACK that refuses a client.
pub(crate) fn encode_refusal(refusal: Refusal, output: &mut BytesMut) {
    let code = match refusal {
        Refusal::BadClientId => ConnectReturnCode::ClientIdentifierNotValid,
        Refusal::Unavailable => ConnectReturnCode::ServiceUnavailable,
        Refusal::BadCredentials => ConnectReturnCode::BadUserNamePassword,
        Refusal::NotAuthorized => ConnectReturnCode::NotAuthorized,
    };
    write(
        protocol::Packet::ConnAck(
            ConnAck {
                session_present: false,
                code,
            },
            None,
        ),
        output,
    );
}

/// Appends a PUBACK.
pub(crate) fn encode_puback(packet_id: u16, output: &mut BytesMut) {
    write(
        protocol::Packet::PubAck(
            PubAck {
                pkid: packet_id,
                reason: PubAckReason::Success,
            },
            None,
        ),
        output,
    );
}

/// Appends a SUBACK; `None` is a filter that was refused.
pub(crate) fn encode_suback(packet_id: u16, granted: &[Option<Qos>], output: &mut BytesMut) {
    let code = |granted: &Option<Qos>| match granted {
        Some(Qos::AtMostOnce) => SubscribeReasonCode::QoS0,
        Some(Qos::AtLeastOnce) => SubscribeReasonCode::QoS1,
        None => SubscribeReasonCode::Failure,
    };
    let return_codes = granted.iter().map(code).collect();
    write(
        protocol::Packet::SubAck(
            SubAck {
                pkid: packet_id,
                return_codes,
            },
            None,
        ),
        output,
    );
}

/// Appends an UNSUBACK.
pub(crate) fn encode_unsuback(packet_id: u16, output: &mut BytesMut) {
    write(
        protocol::Packet::UnsubAck(
            UnsubAck {
                pkid: packet_id,
                reasons: Vec::new(),
            },
            None,
        ),
        output,
    );
}

/// Appends a PINGRESP.
pub(crate) fn encode_pong(output: &mut BytesMut) {
    write(protocol::Packet::PingResp(PingResp), output);
}

/// Appends a PUBLISH.
pub(crate) fn encode_publish(outgoing: &Outgoing, output: &mut BytesMut) {
    let delivery = &outgoing.delivery;
    let (topic, payload) = (delivery.message.topic.as_bytes(), &delivery.message.payload);
    let qos_bits = if outgoing.packet_id.is_some() { 2 } else { 0 };
    output.put_u8(0x30 | u8::from(outgoing.duplicate) << 3 | qos_bits | u8::from(delivery.retained));
    let id_len = if outgoing.packet_id.is_some() { 2 } else { 0 };
    v4::write_remaining_length(output, 2 + topic.len() + id_len + payload.len())
        .expect("messages are limited to far less than 256 MB when they are published");
    output.put_u16(u16::try_from(topic.len()).expect("topics are limited to far less than 64 KB"));
    output.put_slice(topic);
    if let Some(packet_id) = outgoing.packet_id {
        output.put_u16(packet_id);
    }
    output.put_slice(payload);
}

fn write(packet: protocol::Packet, output: &mut BytesMut) {
    V4.write(packet, output)
        .expect("acknowledgements are far below the largest packet size");
}
