/** Whether what is sent to the multicast group comes back, and whether anybody else is heard there. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { interfaceNames, type LanInterface, lanInterfaces } from '../discovery/interfaces.ts';
import { Link } from '../discovery/link.ts';
import { RECORD, writeMessage } from '../discovery/message.ts';
import { SERVICE_NAME, TYPES_NAME } from '../discovery/records.ts';
import { systemCode } from '../errors.ts';
import { type Finding, reasonOf, type Surroundings } from './finding.ts';

/** Milliseconds between the packets, of which one may be lost. */
const PAUSES = [300, 600, 900];

interface Heard {
  readonly finding: Finding;
  /** Addresses of others. */
  readonly others: ReadonlySet<string>;
}

export async function multicast({ settings, signal }: Surroundings): Promise<readonly Finding[]> {
  if (settings.discovery.enabled === 'off') {
    return [
      {
        id: 'multicast',
        grade: 'warning',
        text: 'the setting discovery.enabled is off: this machine is not announced, and nothing was sent to try it',
        fix: 'localstream config set discovery.enabled on',
      },
    ];
  }
  const all = lanInterfaces(interfaceNames(settings.discovery.interfaces));
  const own = new Set(all.flatMap(({ ipv4, ipv6 }) => [...ipv4, ...ipv6]));
  const ways = all.flatMap((lan) => [
    ...(lan.ipv4.length > 0 ? [{ lan, family: 4 as const }] : []),
    ...(lan.ipv6.length > 0 ? [{ lan, family: 6 as const }] : []),
  ]);
  const heard = await Promise.all(ways.map(({ lan, family }) => listen(lan, family, own, signal)));
  const findings = heard.map(({ finding }) => finding);
  return ways.length === 0 ? findings : [...findings, neighbours(heard)];
}

function neighbours(heard: readonly Heard[]): Finding {
  const count = new Set(heard.flatMap(({ others }) => [...others])).size;
  if (count > 0) {
    const text = `${count} ${count === 1 ? 'address' : 'addresses'} of others answered by multicast`;
    return { id: 'neighbours', grade: 'ok', text };
  }
  return {
    id: 'neighbours',
    grade: 'unknown',
    text: 'nobody else answered by multicast: there is nobody, or the network keeps it back',
    fix: 'where others are there: a guest network or Wi-Fi that keeps clients apart; connect HOST:PORT works without it',
  };
}

async function listen(
  lan: LanInterface,
  family: 4 | 6,
  own: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Heard> {
  const subject = `${lan.name} IPv${family}`;
  const label = `doctor-${randomBytes(8).toString('hex')}`;
  const others = new Set<string>();
  let isBack = false;
  let failure: unknown;
  try {
    const link = await Link.open(lan, family, {
      onMessage: ({ questions }, source) => {
        const from = source.split('%')[0] ?? '';
        if (questions.some(({ name }) => name[0] === label)) isBack = true;
        else if (!own.has(from)) others.add(from);
      },
      onFailure: (error) => {
        failure = error;
      },
    });
    try {
      const packet = writeMessage({
        questions: [
          { name: [label, 'local'], type: RECORD.TXT },
          { name: TYPES_NAME, type: RECORD.PTR },
          { name: SERVICE_NAME, type: RECORD.PTR },
        ],
      });
      for (const pause of PAUSES) {
        link.send(packet, (error) => {
          failure = error ?? failure;
        });
        await delay(pause, undefined, { signal });
      }
    } finally {
      await link.close();
    }
  } catch (error) {
    signal.throwIfAborted();
    failure = error;
  }
  return { finding: standing(subject, isBack, failure), others };
}

function standing(subject: string, isBack: boolean, failure: unknown): Finding {
  if (isBack) {
    return {
      id: 'multicast',
      subject,
      grade: 'ok',
      text: `${subject}: what is sent to the group comes back`,
    };
  }
  const fix = 'let UDP port 5353 in and out in the firewall of this machine';
  if (failure === undefined || failure === null) {
    const text = `${subject}: what is sent to the group is not heard back: something here drops UDP 5353`;
    return { id: 'multicast', subject, grade: 'problem', text, fix };
  }
  const reason = systemCode(failure) ?? reasonOf(failure);
  const text = `${subject}: nothing can be sent to the group (${reason})`;
  return { id: 'multicast', subject, grade: 'problem', text, fix };
}
