"""Serializers that share what was declared keep what they are given to themselves."""

from typing import Any

from rest_framework import serializers

from cases.shapes import Shape


class Leaf(Shape):
    word = serializers.CharField(max_length=3)

    def validate_word(self, word: str) -> str:
        return f"{self.context['prefix']}{word}{self.root.initial_data['suffix']}"


class Tree(Shape):
    leaf = Leaf()
    leaves = serializers.ListField(child=Leaf(), required=False)
    branches = Leaf(many=True, required=False)
    texts = serializers.DictField(child=serializers.CharField(), required=False)
    suffix = serializers.CharField()


def tree(suffix: str, prefix: str) -> Any:
    body = {"leaf": {"word": "a"}, "leaves": [{"word": "b"}], "branches": [{"word": "c"}], "texts": {"x": "y"}}
    return Tree(data={**body, "suffix": suffix}, context={"prefix": prefix})


def test_two_at_once_see_each_their_own_body_and_context() -> None:
    first, second = tree("!", "<"), tree("?", ">")
    assert first.is_valid()
    assert second.is_valid()
    for valid, word in ((first.validated_data, "<{}!"), (second.validated_data, ">{}?")):
        assert valid["leaf"] == {"word": word.format("a")}
        assert valid["leaves"] == [{"word": word.format("b")}]
        assert valid["branches"] == [{"word": word.format("c")}]
        assert valid["texts"] == {"x": "y"}


def test_what_was_declared_is_bound_to_nobody() -> None:
    assert tree("!", "<").is_valid()
    declared: Any = Tree._declared_fields
    assert [field.parent for field in declared.values()] == 5 * [None]
    assert "fields" not in vars(declared["leaf"])
    assert declared["leaves"].child.parent is declared["leaves"]


def test_faults_are_told_where_they_are() -> None:
    given = Tree(data={"leaf": {"word": "long"}, "leaves": [{"word": "a"}, {}], "suffix": ""}, context={"prefix": ""})
    assert not given.is_valid()
    assert given.errors.keys() == {"leaf", "leaves", "suffix"}
    assert given.errors["leaves"].keys() == {1}
