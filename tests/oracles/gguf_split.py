"""The tiny model gqa-tied in three GGUF files, as llama.cpp's tools split models: the first part holds only the keys."""
import gguf

from common import GOLDEN

FOLDER = GOLDEN / "gguf_split"


def copy_keys(reader, writer):
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind, element = field.types[0], field.types[-1] if len(field.types) > 1 else None
        writer.add_key_value(name, field.contents(), kind, element)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    reader = gguf.GGUFReader(GOLDEN / "tiny" / "gqa-tied" / "model.gguf")
    writer = gguf.GGUFWriter(FOLDER / "model.gguf", "llama", split_max_tensors=10, small_first_shard=True)
    copy_keys(reader, writer)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
