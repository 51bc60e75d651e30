//! The room manager's operator commands: kick, mute, ban and announce.
//!
//! The members concerned are told of each command, with the operator's nick. A mute ends with the
//! member's session.

use std::net::IpAddr;

use crate::actors::chat::manager::queries::truncated_list;
use crate::actors::chat::messages::SessionMessage;
use crate::actors::chat::registry::ChatRegistry;
use crate::actors::chat::registry::directory::{Directory, Member};
use crate::actors::support::ban_list::BanList;
use crate::runtime::Clock;
use crate::wire::chat::operator_command::{OperatorCommand, parse};
use crate::wire::text::escape;

/// Runs an operator's command line and returns the reply. `by` is the operator's member ID, or
/// `None` for the server's own terminal.
pub(crate) fn run_operator_command(
    registry: &ChatRegistry,
    bans: &BanList,
    by: Option<u64>,
    line: &str,
    clock: &Clock,
) -> Result<String, String> {
    let command = parse(line).ok_or("this is not an operator command")??;
    let mut directory = registry.directory();
    let by = by.and_then(|id| directory.members.get(&id)).map(|member| member.nick.to_string());
    let by = by.unwrap_or_else(|| "the operator".into());
    match command {
        OperatorCommand::Members => Ok(list_members(&directory)),
        OperatorCommand::Bans => {
            let addresses = bans.addresses();
            if addresses.is_empty() {
                return Ok("no address is banned".into());
            }
            let list = truncated_list(addresses.iter().map(IpAddr::to_string), addresses.len());
            Ok(format!("banned: {list}"))
        }
        OperatorCommand::Kick(nick, reason) => {
            let (id, member) = find_member_with_id(&mut directory, nick)?;
            let reason = match escape(reason) {
                empty if empty.is_empty() => format!("kicked by {by}"),
                reason => format!("kicked by {by}: {reason}"),
            };
            close_session(member, &reason)?;
            let nick = member.nick.clone();
            publish_notice(&directory, Some(id), &format!("{nick} was {reason}"), clock);
            Ok(format!("kicked {nick}"))
        }
        OperatorCommand::Mute(nick) => set_muted(find_member(&mut directory, nick)?, true, &by),
        OperatorCommand::Unmute(nick) => set_muted(find_member(&mut directory, nick)?, false, &by),
        OperatorCommand::Ban(target) => ban(&mut directory, bans, target, &by),
        OperatorCommand::Unban(address) => {
            let address: IpAddr = address.parse().map_err(|_| {
                format!("\"{}\" is not an IP address; /bans lists the bans", escape(address))
            })?;
            match bans.remove(address) {
                true => Ok(format!("unbanned {address}")),
                false => Err(format!("{address} is not banned; /bans lists the bans")),
            }
        }
        OperatorCommand::Announce(text) => {
            publish_notice(&directory, None, &format!("{by} announces: {}", escape(text)), clock);
            Ok("announced to all rooms".into())
        }
    }
}

fn set_muted(member: &mut Member, muted: bool, by: &str) -> Result<String, String> {
    member.muted = muted;
    let (verb, effect) = match muted {
        true => ("muted", "your messages are not delivered"),
        false => ("unmuted", "your messages are delivered again"),
    };
    if let (Some(session), false) = (&member.session, member.quiet) {
        // If the mailbox is full, the member learns of a mute with its next message.
        let notice = format!("* {by} has {verb} you; {effect}\n");
        let _ = session.try_send(SessionMessage::Notice(notice));
    }
    Ok(format!("{verb} {}", member.nick))
}

/// Bans an IP address or the address of a member, and closes its sessions.
fn ban(
    directory: &mut Directory,
    bans: &BanList,
    target: &str,
    by: &str,
) -> Result<String, String> {
    let address = match target.parse() {
        Ok(address) => address,
        Err(_) => {
            let (_, member) = find_member_with_id(directory, target)?;
            let nick = &member.nick;
            let unknown = || format!("{nick} has no IP address to ban; use /kick {nick}");
            member.ip.ok_or_else(unknown)?
        }
    };
    bans.add(address)?;
    let reason = format!("banned by {by}");
    let is_banned = |member: &&Member| member.ip.is_some_and(|address| bans.contains(address));
    let members = directory.members.values().filter(is_banned);
    let closed = members.filter(|member| close_session(member, &reason).is_ok()).count();
    Ok(format!("banned {address}; closed {closed} of its sessions"))
}

fn find_member_with_id<'a>(
    directory: &'a mut Directory,
    nick: &str,
) -> Result<(u64, &'a mut Member), String> {
    let id = directory.find_by_nick(nick);
    id.and_then(|id| Some((id, directory.members.get_mut(&id)?)))
        .ok_or_else(|| format!("there is no member named {}; /members lists all", escape(nick)))
}

fn find_member<'a>(directory: &'a mut Directory, nick: &str) -> Result<&'a mut Member, String> {
    find_member_with_id(directory, nick).map(|(_, member)| member)
}

/// Asks a member's session to close.
fn close_session(member: &Member, reason: &str) -> Result<(), String> {
    let session = member.session.as_ref();
    let sent = session.map(|session| session.try_send(SessionMessage::Close(reason.into())));
    match sent {
        Some(Ok(())) => Ok(()),
        _ => Err(format!("{} cannot be reached at the moment; try again", member.nick)),
    }
}

/// Publishes a notice to a member's room, or to all rooms.
fn publish_notice(directory: &Directory, in_room_of: Option<u64>, notice: &str, clock: &Clock) {
    let only = in_room_of.map(|id| directory.member_and_room(id).map(|(_, room)| room));
    for room in directory.rooms.values() {
        if only.is_none_or(|only| only.is_some_and(|only| only.name == room.name)) {
            drop(room.log.publish(None, format!("* {notice}\n"), clock.system_time()));
        }
    }
}

/// Lists all members with their rooms and addresses.
fn list_members(directory: &Directory) -> String {
    let members = directory.members.values().map(|member| {
        let room = member.room_key.as_deref().unwrap_or("no room");
        let address = member.ip.map_or("no address".into(), |address| address.to_string());
        let muted = if member.muted { ", muted" } else { "" };
        format!("{} ({room}, {address}{muted})", member.nick)
    });
    format!("members: {}", truncated_list(members, directory.members.len()))
}
