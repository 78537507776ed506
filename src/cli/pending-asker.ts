/** Questions that nobody is interrupted for: they get a number, and wait for `accept`, `trust` or `reject`. */
import type { Offer, TrustQuestion } from '../index.ts';
import type { Asker } from './asker.ts';
import type { Output } from './output.ts';
import {
  offerAnswers,
  offerEvent,
  offerLines,
  offerText,
  peerText,
  questionEvent,
  questionLines,
} from './peer-text.ts';
import type { Pending } from './pending.ts';

/** Asks about strangers. Every question and its end are told to `output`. */
export function pendingAsker(pending: Pending, output: Output): NonNullable<Asker['client']> {
  return async (question, signal) => {
    let number = 0;
    const answer = await pending.ask(question, signal, {
      asked: (given) => {
        number = given;
        const text = questionText(question, pending.nameOf(number), output);
        output.note(text, questionEvent(question, 'here', number));
      },
      withdrawn: () => {
        const text = `[${pending.nameOf(number)}] is withdrawn: the peer has gone, or the time to answer is over`;
        output.note(text, { event: 'question_over', number, answer: null });
      },
    });
    output.event({ event: 'question_over', number, answer });
    return answer;
  };
}

/** Asks about what peers offer to a listener. */
export function inboxAsker(pending: Pending, output: Output): NonNullable<Asker['inbox']> {
  return (offer, listener) => {
    const number = pending.add(offer, (gone) => {
      const text = `[${pending.nameOf(gone)}] is withdrawn, or the time to answer is over`;
      output.note(text, { event: 'question_over', number: gone, answer: null });
    });
    const text = offerQuestion(offer, pending.nameOf(number), output);
    output.note(text, offerEvent(offer, { number, listener }));
  };
}

/** A question about a stranger, and how it is answered. `name` is what is typed for it. */
export function questionText(question: TrustQuestion, name: string, output: Output): string {
  const answers = `accept ${name}, trust ${name} (for good) or reject ${name}`;
  const label = output.style.errorPaint.warn(`[${name}] an unknown ${question.role} wants in`);
  return [`${label}: ${answers}`, ...questionLines(question)].join('\n');
}

/** The same about an offer. */
export function offerQuestion(offer: Offer, name: string, output: Output): string {
  const label = output.style.errorPaint.warn(`[${name}] ${peerText(offer.from)} offers ${offerText(offer)}`);
  return [label, ...offerLines(offer), `  ${offerAnswers(offer, name)}`].join('\n');
}
