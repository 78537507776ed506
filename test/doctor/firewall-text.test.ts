import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeFirewalld, judgeMac, judgeUfw, judgeWindows } from '../../src/doctor/firewall-text.ts';

const said = (output: string, status = 0, errors = '') => ({ status, output, errors });

test('ufw: what is allowed, denied, limited, and by default', () => {
  const active = (rules: string, incoming = 'deny') =>
    judgeUfw(
      said(`Status: active
Logging: on (low)
Default: ${incoming} (incoming), allow (outgoing), disabled (routed)
New profiles: skip

To                         Action      From
--                         ------      ----
${rules}`),
      7353,
    ).grade;
  assert.equal(judgeUfw(said('Status: inactive\n'), 7353).grade, 'ok');
  assert.equal(active('22/tcp                     ALLOW IN    Anywhere'), 'problem');
  assert.equal(active('', 'allow'), 'ok');
  assert.equal(active('7353/tcp                   DENY IN     Anywhere', 'allow'), 'problem');
  for (const to of ['7353/tcp', '7353', '7000:8000/tcp', '22,7353/tcp', '7353/tcp (v6)'])
    assert.equal(active(`${to.padEnd(26)} ALLOW IN    Anywhere`), 'ok', to);
  assert.equal(active('7353/tcp   ALLOW IN    Anywhere\n5353/udp   DENY IN     Anywhere'), 'problem');
  assert.equal(judgeUfw(said('', 1, 'ERROR: You need to be root to run this script'), 7353).grade, 'unknown');
  assert.equal(judgeUfw(said('Statut: actif\n'), 7353).grade, 'unknown');
});

test('firewalld: the active zones decide', () => {
  const zone = (name: string, target: string, services: string, ports: string) => `${name}
  target: ${target}
  icmp-block-inversion: no
  interfaces: eth0
  services: ${services}
  ports: ${ports}
  protocols: `;
  const judge = (...zones: readonly string[]) => judgeFirewalld(said(zones.join('\n\n')), 7353);
  const closed = zone('block', '%%REJECT%%', '', '');
  assert.equal(judgeFirewalld(said('', 252, 'FirewallD is not running'), 7353).grade, 'ok');
  assert.equal(judge(closed, zone('public (active)', 'default', 'mdns ssh', '7353/tcp')).grade, 'ok');
  assert.equal(
    judge(closed, zone('home (default, active)', 'default', '', '7000-8000/tcp 5353/udp')).grade,
    'ok',
  );
  assert.match(
    judge(zone('public (active)', 'default', 'mdns ssh', '')).text,
    /zone public keeps TCP 7353 out/,
  );
  assert.match(judge(zone('public (active)', 'default', 'ssh', '7353/tcp')).text, /keeps UDP 5353 out/);
  assert.equal(judge(zone('trusted (active)', 'ACCEPT', '', '')).grade, 'ok');
  assert.equal(judge(closed).grade, 'unknown');
});

test('macOS: off, on, blocking all, or this program', () => {
  const on = 'Firewall is enabled. (State = 1)';
  const some = 'Firewall has block all state set to disabled.';
  const node = '/usr/local/bin/node';
  const judge = (state: string, all: string, ours: string) => judgeMac(state, all, ours, node).grade;
  assert.equal(judge('Firewall is disabled. (State = 0)', '', ''), 'ok');
  assert.equal(judge(on, some, `Incoming connection to the application ${node} is permitted`), 'ok');
  assert.equal(judge(on, some, `The application ${node} is blocked`), 'problem');
  assert.equal(judge(on, some, 'The application is not part of the firewall'), 'warning');
  assert.equal(judge(on, 'Firewall has block all state set to enabled.', ''), 'problem');
  assert.equal(judge('?', '', ''), 'unknown');
});

test('Windows: the profile, then the rules of this program', () => {
  const node = 'C:\\Program Files\\nodejs\\node.exe';
  const profile = (state: string, policy = 'BlockInbound,AllowOutbound') =>
    `Private Profile Settings:\r\n----\r\nState                                 ${state}\r\nFirewall Policy                       ${policy}\r\n`;
  const rule = (program: string, action: string, ports = 'Any') =>
    `Rule Name:  x\r\nEnabled:                              Yes\r\nLocalPort:    ${ports}\r\nProgram:    ${program}\r\nAction:        ${action}\r\n`;
  const judge = (state: string, rules: string) => judgeWindows(state, rules, node, 7353).grade;
  assert.equal(judge(profile('OFF'), ''), 'ok');
  assert.equal(judge(profile('ON', 'AllowInbound,AllowOutbound'), ''), 'ok');
  assert.equal(judge(profile('ON'), ''), 'warning');
  assert.equal(judge(profile('ON'), rule(node.toLowerCase(), 'Allow')), 'ok');
  assert.equal(judge(profile('ON'), [rule(node, 'Allow'), rule(node, 'Block')].join('\r\n')), 'problem');
  assert.equal(judge(profile('ON'), rule('C:\\other.exe', 'Allow', '7353')), 'warning');
  assert.equal(judge(profile('EIN'), ''), 'unknown');
});
