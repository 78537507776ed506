/** The first bytes on a lane: `id[16] ‖ u32 number ‖ proof[32]` from the dialler, then `proof[32]` from the listener. */
import { MAC_BYTES, SESSION_ID_BYTES } from '../crypto/exchange.ts';

export const LANE_REQUEST_BYTES = SESSION_ID_BYTES + 4 + MAC_BYTES;
export const LANE_ANSWER_BYTES = MAC_BYTES;

export interface LaneRequest {
  readonly id: Buffer;
  readonly number: number;
  readonly proof: Buffer;
}

export function writeLaneRequest(request: LaneRequest): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32BE(request.number);
  return Buffer.concat([request.id, number, request.proof]);
}

/** Takes exactly {@link LANE_REQUEST_BYTES} bytes apart. */
export function readLaneRequest(bytes: Buffer): LaneRequest {
  return {
    id: bytes.subarray(0, SESSION_ID_BYTES),
    number: bytes.readUInt32BE(SESSION_ID_BYTES),
    proof: bytes.subarray(SESSION_ID_BYTES + 4, LANE_REQUEST_BYTES),
  };
}
