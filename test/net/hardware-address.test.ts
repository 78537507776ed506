import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { suite, test } from 'node:test';
import { hardwareAddress, macInTable } from '../../src/net/hardware-address.ts';

const TABLE = `IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         02:FC:00:00:00:05     *        eth0
192.0.2.11       0x1         0x0         02:fc:00:00:00:06     *        eth0
192.0.2.12       0x1         0x2         00:00:00:00:00:00     *        eth0
192.0.2.13       0x20        0x2         80:00:02:08:fe:80     *        ib0
192.0.2.14       0x1         0x6         02:fc:00:00:00:07     *        eth1
192.0.2.15       0x1         0x2         nonsense              *        eth1
`;

suite('the hardware address of a neighbour', () => {
  test('is that of its whole address, where somebody has answered', () => {
    const found = [1, 11, 12, 13, 14, 15, 16].map((last) => macInTable(TABLE, `192.0.2.${last}`));
    assert.deepEqual(found, [
      '02:fc:00:00:00:05',
      undefined,
      undefined,
      undefined,
      '02:fc:00:00:00:07',
      undefined,
      undefined,
    ]);
    for (const text of ['', '\n\n', 'IP address', TABLE.split('\n')[0] ?? ''])
      assert.equal(macInTable(text, '192.0.2.1'), undefined);
  });

  test('is none of this machine itself, of other systems and of what is no address, and never an error', async () => {
    const own = Object.values(networkInterfaces()).flatMap((all) =>
      (all ?? []).map(({ address }) => address),
    );
    for (const address of [
      ...own,
      '127.0.0.1',
      '::1',
      '::ffff:127.0.0.1',
      '',
      'nas',
      '$(id)',
      '-h',
      'fe80::1%-h',
    ])
      assert.equal(await hardwareAddress(address), undefined, address);
    assert.equal(await hardwareAddress('192.0.2.1', 'darwin'), undefined);
  });
});
