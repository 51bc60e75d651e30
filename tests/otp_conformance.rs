//! The cases of Erlang/OTP's `supervisor_SUITE`, held against this crate's supervisors and pools.
//!
//! Each test has the name of the suite's case and checks what that case checks, with tests and children of
//! our own. What is not here, and where the two differ, is in `docs/otp.md`, whose table is tested too. All run
//! in simulation, each case for a number of seeds.

#[path = "otp_conformance/abnormal.rs"]
mod abnormal;
#[path = "otp_conformance/admin.rs"]
mod admin;
#[path = "otp_conformance/admin_simple.rs"]
mod admin_simple;
#[path = "otp_conformance/book.rs"]
mod book;
#[path = "otp_conformance/child.rs"]
mod child;
#[path = "otp_conformance/counts.rs"]
mod counts;
#[path = "otp_conformance/hanging.rs"]
mod hanging;
#[path = "otp_conformance/kit.rs"]
mod kit;
#[path = "otp_conformance/nested.rs"]
mod nested;
#[path = "otp_conformance/normal.rs"]
mod normal;
#[path = "otp_conformance/one_for_all.rs"]
mod one_for_all;
#[path = "otp_conformance/one_for_one.rs"]
mod one_for_one;
#[path = "otp_conformance/order.rs"]
mod order;
#[path = "otp_conformance/rest_for_one.rs"]
mod rest_for_one;
#[path = "otp_conformance/significant.rs"]
mod significant;
#[path = "otp_conformance/significant_groups.rs"]
mod significant_groups;
#[path = "otp_conformance/simple.rs"]
mod simple;
#[path = "otp_conformance/specs.rs"]
mod specs;
#[path = "otp_conformance/start.rs"]
mod start;
#[path = "otp_conformance/start_errors.rs"]
mod start_errors;
#[path = "otp_conformance/start_map.rs"]
mod start_map;
#[path = "otp_conformance/stop.rs"]
mod stop;
#[path = "otp_conformance/stop_dynamic.rs"]
mod stop_dynamic;
#[path = "otp_conformance/sup.rs"]
mod sup;
#[path = "otp_conformance/table.rs"]
mod table;
#[path = "otp_conformance/temporary.rs"]
mod temporary;
