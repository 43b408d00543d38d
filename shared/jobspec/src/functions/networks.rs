//! IP networks in CIDR notation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Failure, Function, Kind, fixed, integer, number, text, variadic};
use crate::value::Value;

const PREFIX: (&str, Kind) = ("prefix", Kind::Text);

pub(super) const TABLE: &[Function] = &[
    fixed("cidrhost", &[PREFIX, ("hostnum", Kind::Number)], |_, args| {
        let network = Network::parse(text(&args[0]))?;
        let host = integer(args, 1)?;
        let free = network.width - network.length;
        let too_large = || {
            Failure::Call(format!(
                "prefix of {} does not accommodate a host numbered {host}",
                network.length
            ))
        };
        // Negative numbers count from the end.
        let host = if host < 0 {
            network
                .size()
                .and_then(|size| size.checked_add_signed(host.into()))
        } else {
            u128::try_from(host).ok()
        };
        let host = host
            .filter(|host| free >= 128 || host >> free == 0)
            .ok_or_else(too_large)?;
        Ok(Value::text(network.address(network.bits | host)))
    }),
    fixed("cidrnetmask", &[PREFIX], |_, args| {
        let network = Network::parse(text(&args[0]))?;
        if network.width != 32 {
            return Err("IPv6 addresses cannot have a netmask: use the prefix length".into());
        }
        Ok(Value::text(network.address(network.mask())))
    }),
    fixed(
        "cidrsubnet",
        &[PREFIX, ("newbits", Kind::Number), ("netnum", Kind::Number)],
        |_, args| {
            let network = Network::parse(text(&args[0]))?;
            let subnet = network.subnet(integer(args, 1)?)?;
            let wanted = integer(args, 2)?;
            let new_bits = subnet.length - network.length;
            let bits = u128::try_from(wanted)
                .ok()
                .filter(|wanted| new_bits >= 128 || wanted >> new_bits == 0);
            let bits = bits.ok_or_else(|| {
                Failure::Call(format!(
                    "prefix extension of {new_bits} does not accommodate a subnet numbered {wanted}"
                ))
            })?;
            let shift = subnet.width - subnet.length;
            let bits = network.bits | bits.checked_shl(shift).unwrap_or(0);
            Ok(Value::text(Network { bits, ..subnet }.to_string()))
        },
    ),
    variadic("cidrsubnets", &[PREFIX], ("newbits", Kind::Number), |_, args| {
        let network = Network::parse(text(&args[0])).map_err(|failure| match failure {
            Failure::Call(reason) => Failure::Argument(0, reason),
            other => other,
        })?;
        let mut subnets = Vec::new();
        let mut next = network.bits;
        for index in 1..args.len() {
            let subnet = network.subnet(number(&args[index]).as_i64().unwrap_or(-1))?;
            let size = 1_u128
                .checked_shl(subnet.width - subnet.length)
                .unwrap_or(u128::MAX);
            // Aligned to its own size, after what came before.
            let bits = next.div_ceil(size) * size;
            if bits & network.mask() != network.bits {
                return Err(Failure::Argument(
                    index,
                    format!(
                        "not enough remaining address space for a subnet with a prefix of {} bits",
                        subnet.length
                    ),
                ));
            }
            next = bits.saturating_add(size);
            subnets.push(Value::text(Network { bits, ..subnet }.to_string()));
        }
        Ok(Value::List(subnets))
    }),
];

#[derive(Clone, Copy)]
struct Network {
    bits: u128,
    /// 32 or 128.
    width: u32,
    length: u32,
}

impl Network {
    fn parse(text: &str) -> Result<Self, Failure> {
        let invalid = || Failure::Call(format!("invalid CIDR expression: invalid CIDR address: {text}"));
        let (address, length) = text.split_once('/').ok_or_else(invalid)?;
        let (bits, width) = match address.parse().map_err(|_| invalid())? {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let length = length
            .parse()
            .ok()
            .filter(|length| *length <= width)
            .ok_or_else(invalid)?;
        let network = Self { bits, width, length };
        Ok(Self {
            bits: bits & network.mask(),
            ..network
        })
    }

    fn mask(self) -> u128 {
        let all = if self.width == 128 {
            u128::MAX
        } else {
            u128::from(u32::MAX)
        };
        all & !(1_u128
            .checked_shl(self.width - self.length)
            .map_or(u128::MAX, |size| size - 1))
    }

    /// How many addresses it has, if that is a number we can write.
    fn size(self) -> Option<u128> {
        1_u128.checked_shl(self.width - self.length)
    }

    fn subnet(self, new_bits: i64) -> Result<Self, Failure> {
        let length = u32::try_from(new_bits)
            .ok()
            .map(|bits| self.length + bits)
            .filter(|length| *length <= self.width);
        let length = length.ok_or_else(|| {
            Failure::Call(format!(
                "insufficient address space to extend prefix of {} by {new_bits}",
                self.length
            ))
        })?;
        Ok(Self { length, ..self })
    }

    fn address(self, bits: u128) -> String {
        match u32::try_from(bits) {
            Ok(bits) if self.width == 32 => Ipv4Addr::from_bits(bits).to_string(),
            _ => Ipv6Addr::from_bits(bits).to_string(),
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address(self.bits), self.length)
    }
}
