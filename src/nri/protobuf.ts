/**
 * Reads protobuf messages field by field; fields that nobody wants are skipped. Damaged ones throw
 * NriError `malformed`.
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { NriError } from './error.ts';

/** Reads a field's value from the reader. */
type FieldReader<T> = (message: T, reader: BinaryReader) => void;

interface Field<T> {
  readonly type: WireType;
  readonly read: FieldReader<T>;
}

/** The fields of a message that are read, by number. */
export type Fields<T> = Readonly<Record<number, Field<T>>>;

/** A string, bytes, a message or a map's entry. */
export function delimited<T>(read: FieldReader<T>): Field<T> {
  return { type: WireType.LengthDelimited, read };
}

/** A number, a boolean or a value of an enum. */
export function varint<T>(read: FieldReader<T>): Field<T> {
  return { type: WireType.Varint, read };
}

/** A string; throws on bytes that are not UTF-8. */
export function text(reader: BinaryReader): string {
  return reader.string(true);
}

/**
 * Reads the fields of `bytes` into `message`, and returns it. Throws NriError `malformed`.
 * @param name of the message, for errors
 */
export function decode<T>(name: string, bytes: Uint8Array, fields: Fields<T>, message: T): T {
  const reader = new BinaryReader(bytes);
  try {
    while (reader.pos < reader.len) {
      const [number, type] = reader.tag();
      const field = fields[number];
      if (field === undefined) {
        reader.skip(type, number);
      } else if (field.type === type) {
        field.read(message, reader);
      } else {
        throw new Error(`field ${number} has wire type ${type}`);
      }
    }
  } catch (error) {
    if (error instanceof NriError) throw error;
    throw new NriError('malformed', `damaged ${name}: ${error instanceof Error ? error.message : error}`, error);
  }
  return message;
}
